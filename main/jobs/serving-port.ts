/** Starts processes that hold a model for a model server. */
import { fileURLToPath } from 'node:url';
import { forkPort } from './fork-port.ts';

export const servingPort = forkPort(fileURLToPath(new URL('./serving-worker.ts', import.meta.url)));
