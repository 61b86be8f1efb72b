/** The beginning of a file, by which it is told what the file is. */
import { openRegularFile, readSize } from '../../basics/regular-file.ts';

export const sniffedBytes = 64 * 1024;

/** The first bytes of a file as it lies there. */
export async function beginning(file: string): Promise<Buffer> {
  const { handle, size } = await openRegularFile(file);
  try {
    const bytes = Buffer.alloc(readSize(sniffedBytes, size));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

export const startsWith = (bytes: Uint8Array, ...start: number[]): boolean =>
  start.every((byte, i) => bytes[i] === byte);
