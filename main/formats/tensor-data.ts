/** What the writers of GGUF and safetensors have in common: a tensor's data is made when its turn comes, so that memory holds one. */
import type { AtomicFile } from '../basics/atomic-file.ts';
import { TritsmithError } from '../contract/errors.ts';

export interface TensorData {
  readonly name: string;
  /** Called once, when the tensor's turn comes; its bytes as the file will hold them. */
  readonly data: () => ArrayBufferView | Promise<ArrayBufferView>;
}

/** Appends a tensor that was given `bytes` bytes of the file. @throws TritsmithError `internal` where its data is of another length */
export async function writeTensorData(file: AtomicFile, { name, data }: TensorData, bytes: number): Promise<void> {
  const made = await data();
  if (made.byteLength !== bytes)
    throw new TritsmithError('internal', 'tensor.bytes', { name, bytes: made.byteLength, expected: bytes });
  await file.write(made);
}
