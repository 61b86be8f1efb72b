/** The tokenizer that an exported model is asked with: of the folder it was made with, or its own. */
import { embeddedTokenizer } from '../../formats/gguf/index.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';

/** `source` is a folder or a GGUF file. @throws TritsmithError as `loadTokenizer` and `embeddedTokenizer` */
export function runtimeTokenizer(source: string, vocabSize: number): Promise<Tokenizer> {
  return source.endsWith('.gguf') ? embeddedTokenizer(source) : loadTokenizer(source, { vocabSize });
}
