/** The tokenizer that an exported model is asked with: of the folder it was made with, or its own. */
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelTokenizer } from '../../models/open-model.ts';

/** `source` is a folder or a GGUF file. @throws TritsmithError as `modelTokenizer` */
export function runtimeTokenizer(source: string, vocabSize: number): Promise<Tokenizer> {
  return modelTokenizer(source, { vocabSize });
}
