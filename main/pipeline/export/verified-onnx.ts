/** An ONNX export with its proof: written under a draft name and run in ONNX Runtime beside the graph engine. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { tell, type Told } from '../../contract/messages/told.ts';
import type { ExportCheck } from '../../contract/results.ts';
import { decodeF16, encodeF16 } from '../../formats/half-precision.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { embeddingName, headName, ParameterBuffer, parameterSpecifications } from '../../models/parameters.ts';
import { onnxCheck } from './onnx-check.ts';
import { writeOnnxModel } from './onnx-file.ts';
import type { TensorSource } from './tensor-source.ts';
import type { VerificationOptions } from './verified-gguf.ts';

/** The model that the file holds: tables rounded where they are stored in F16. */
async function storedParameters(
  configuration: ModelConfiguration,
  source: TensorSource,
  embedding: 'F16' | 'F32',
): Promise<ParameterBuffer> {
  const parameters = new ParameterBuffer(parameterSpecifications(configuration));
  const tables = [embeddingName, headName(configuration)];
  for (const { name } of parameters.specifications) {
    const values = await source.read(name);
    const rounds = embedding === 'F16' && tables.includes(name);
    parameters.view(name).set(rounds ? decodeF16(encodeF16(values)) : values);
  }
  return parameters;
}

/**
 * Writes `path` and runs it. The caller gives a draft name and renames or removes the file.
 * @throws TritsmithError `unsupported` (too large for one file), `damaged` when ONNX Runtime gives other logits
 */
export async function writeVerifiedOnnx(
  path: string,
  configuration: ModelConfiguration,
  tensors: TensorSource,
  embedding: 'F16' | 'F32',
  { prompts, threads, onProgress }: VerificationOptions,
): Promise<{ bodyBytes: number; fileBytes: number; checks: readonly ExportCheck[]; notes: readonly Told[] }> {
  let written = 0;
  const { bodyBytes } = await writeOnnxModel(path, configuration, tensors, embedding, (done, constants) => {
    written = constants;
    return onProgress(done, constants + prompts.length);
  });
  const parameters = await storedParameters(configuration, tensors, embedding);
  const check = await onnxCheck(path, configuration, parameters, prompts, threads, (done) =>
    onProgress(written + done, written + prompts.length),
  );
  if (!check.passed) throw new TritsmithError('damaged', 'export.onnx-check-failed', { path, found: check });
  return {
    bodyBytes,
    fileBytes: (await stat(path)).size,
    checks: [check],
    notes: [tell('note.onnx-whole-prompts')],
  };
}
