/** SHA-256 of texts and files, in hex. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

export function textSha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Reads the file piece by piece. */
export async function fileSha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
