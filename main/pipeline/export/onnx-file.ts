/** Writes a model as one ONNX file, constant by constant: memory holds one of them. */
import { TritsmithError } from '../../contract/errors.ts';
import { type AtomicFile, writeFileAtomically } from '../../basics/atomic-file.ts';
import { constantBytes, layOutOnnx } from '../../graph/onnx-format.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { onnxModel } from './onnx-model.ts';
import type { TensorSource } from './tensor-source.ts';

/** A protobuf message ends at 2 GiB; the rest is room for the graph. */
const largestModel = 1.9 * 2 ** 30;

/** Constants that make up the linear layers. */
const bodyName = /^layers\.\d+\.(q|k|v|o|gate|up|down)(\.(packed|ones|turned|delta))?$/;

/**
 * Writes `path` whole or not at all.
 * @param onConstant called before each constant with how many are done out of how many; may throw to stop
 * @throws TritsmithError `unsupported` for a model beyond the 2 GiB of one ONNX file
 */
export async function writeOnnxModel(
  path: string,
  configuration: ModelConfiguration,
  source: TensorSource,
  embedding: 'F16' | 'F32',
  onConstant: (done: number, total: number) => Promise<void> = () => Promise.resolve(),
): Promise<{ bodyBytes: number }> {
  const graph = onnxModel(configuration, source, embedding);
  const { constants } = graph;
  const size = constants.reduce((sum, entry) => sum + constantBytes(entry), 0);
  if (size > largestModel) throw new TritsmithError('unsupported', 'export.onnx-too-large', { size });
  const { parts, bytes } = layOutOnnx(graph);
  let done = 0;
  const write = async (file: AtomicFile): Promise<void> => {
    for (const part of parts) {
      if (part instanceof Uint8Array) {
        await file.write(part);
        continue;
      }
      await onConstant(done++, constants.length);
      const data = await part.data();
      if (data.byteLength !== constantBytes(part))
        throw new TritsmithError('internal', 'export.onnx-constant', {
          name: part.name,
          bytes: data.byteLength,
          expected: constantBytes(part),
        });
      await file.write(data);
    }
  };
  await writeFileAtomically(path, write, bytes);
  return {
    bodyBytes: constants.reduce((sum, entry) => (bodyName.test(entry.name) ? sum + constantBytes(entry) : sum), 0),
  };
}
