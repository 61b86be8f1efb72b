/** Writes a model that is ternary as it comes (a BitNet) as a GGUF file, without an experiment: so it runs, is measured and is served. */
import { rename, rm, stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { modelName } from '../../contract/local-path.ts';
import type { ConvertedModel, ConvertRequest } from '../../contract/queries.ts';
import { modelConfiguration, modelTokenizer } from '../../models/open-model.ts';
import { assertHolds, encodingOf, isGgufType, isTeacherType } from './capabilities.ts';
import { openTensorSource } from './tensor-source.ts';
import { writeVerifiedGguf } from './verified-gguf.ts';

/** The file is run beside the graph engine on these. */
const sentences = ['The capital of France is', 'Once upon a time'];

/**
 * The file appears whole and proven, or not at all.
 * @throws TritsmithError `unsupported` (no ternary model, a type that does not hold it), `bad-input` where there is a file already; as `writeVerifiedGguf`
 */
export async function convertModel({ model, output, settings }: ConvertRequest): Promise<ConvertedModel> {
  const { type } = settings;
  if (!isGgufType(type) || isTeacherType(type)) throw new TritsmithError('bad-input', 'convert.type', { type });
  const configuration = await modelConfiguration(model);
  if (!configuration.ternary) throw new TritsmithError('unsupported', 'convert.not-ternary', { model });
  if ((await stat(output).catch(() => null)) !== null)
    throw new TritsmithError('bad-input', 'convert.exists', { path: output });
  assertHolds(settings, configuration);
  const tokenizer = await modelTokenizer(model, configuration);
  const tensors = await openTensorSource(model, configuration);
  const draft = `${output}.${String(process.pid)}.new`;
  try {
    const { architecture, bodyBytes, fileBytes, checks, notes } = await writeVerifiedGguf(
      draft,
      { name: modelName(model), configuration, tensors, tokenizer: model },
      encodingOf(type, settings),
      {
        prompts: sentences.map((text) => Int32Array.from(tokenizer.encode(text))),
        threads: 0,
        llamaCpp: null,
        onProgress: () => Promise.resolve(),
      },
    );
    await rename(draft, output);
    return { path: output, architecture, fileBytes, bodyBytes, checks: [...checks], notes: [...notes] };
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await tensors.close();
  }
}
