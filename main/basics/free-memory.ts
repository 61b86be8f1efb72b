/** Memory that this process could still take. */
import { freemem } from 'node:os';

/** Bytes that could be had now, caches of files included, less where a container limits them; free bytes where the system does not tell. */
export function freeMemory(): number {
  const available = process.availableMemory();
  return available > 0 ? available : freemem();
}
