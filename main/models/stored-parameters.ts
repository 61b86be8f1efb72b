/** Parameters as checkpoints store them (models/parameters.ts, `StoredForm`): brought into our form when they are read, and back when they are written. */
import { TritsmithError } from '../contract/errors.ts';
import { assertFinite, type Checkpoint } from '../formats/safetensors/index.ts';
import type { ModelConfiguration } from './configuration.ts';
import type { ParameterSpecification } from './parameters.ts';

/** What is read of a checkpoint. */
export type StoredTensors = Pick<Checkpoint, 'has' | 'shape' | 'readFloat32'>;

/** Tensor of the checkpoint that holds a parameter. */
export function storedName(
  checkpoint: StoredTensors,
  { name, local, stored }: ParameterSpecification,
  { tiedEmbeddings }: ModelConfiguration,
): string {
  // A tied model may store its one matrix under the head's name only.
  if (!checkpoint.has(name) && local === 'embedding' && tiedEmbeddings) return 'lm_head.weight';
  return stored && !checkpoint.has(name) ? stored.name : name;
}

/** Shape of that tensor. */
export function storedShape(checkpoint: StoredTensors, { name, shape, stored }: ParameterSpecification): number[] {
  return stored && !checkpoint.has(name) ? [stored.rows, ...shape.slice(1)] : [...shape];
}

/**
 * Fills `target` with the values of a parameter.
 * @throws TritsmithError `bad-input` for a wrong shape, `damaged` for NaN or infinity
 */
export async function readStored(
  checkpoint: StoredTensors,
  specification: ParameterSpecification,
  configuration: ModelConfiguration,
  folder: string,
  target: Float32Array,
): Promise<void> {
  const { shape, size, storedOffset, stored } = specification;
  const source = storedName(checkpoint, specification, configuration);
  const expected = storedShape(checkpoint, specification);
  const found = checkpoint.shape(source);
  if (found.join() !== expected.join())
    throw new TritsmithError('bad-input', 'model.tensor-shape', { folder, name: source, shape: [...found], expected });
  if (stored && source === stored.name) {
    const first = (stored.firstRow * size) / shape[0]!;
    target.set((await checkpoint.readFloat32(source)).subarray(first, first + size));
  } else await checkpoint.readFloat32(source, target);
  assertFinite(source, target);
  if (storedOffset !== 0) for (let index = 0; index < size; index += 1) target[index]! += storedOffset;
}

/** A tensor of a checkpoint that is to be written, and the parameters whose values are its rows. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly ParameterSpecification[];
}

/** The tensors that hold `specifications`, in their order. */
export function storedTensors(specifications: readonly ParameterSpecification[]): StoredTensor[] {
  const tensors = new Map<string, StoredTensor>();
  for (const specification of specifications) {
    const { name, shape, stored } = specification;
    const target = stored?.name ?? name;
    const before = tensors.get(target)?.parts ?? [];
    tensors.set(target, {
      name: target,
      shape: stored ? [stored.rows, ...shape.slice(1)] : shape,
      parts: [...before, specification],
    });
  }
  return [...tensors.values()];
}

/** Values of a tensor as a checkpoint stores it; not to be written to. */
export function storedValues({ parts }: StoredTensor, view: (name: string) => Float32Array): Float32Array {
  const [first, ...rest] = parts;
  if (rest.length === 0) {
    const { name, storedOffset } = first!;
    return storedOffset === 0 ? view(name) : view(name).map((value) => value - storedOffset);
  }
  const joined = new Float32Array(parts.reduce((sum, { size }) => sum + size, 0));
  let at = 0;
  for (const { name, size } of parts) {
    joined.set(view(name), at);
    at += size;
  }
  return joined;
}
