/** What has to be known of a GGUF file before another program runs it. */
import { stat } from 'node:fs/promises';
import { openGguf } from '../../formats/gguf/index.ts';

export interface GgufFacts {
  readonly vocabularySize: number;
  /** Longest context that the file names. */
  readonly contextLength: number;
  readonly fileBytes: number;
}

/** @throws TritsmithError `not-found`, `damaged` */
export async function ggufFacts(path: string): Promise<GgufFacts> {
  const file = await openGguf(path);
  try {
    const architecture = String(file.metadata.get('general.architecture')?.value ?? '');
    return {
      vocabularySize: file.tensors.get('token_embd.weight')?.shape[0] ?? 0,
      contextLength: Number(file.metadata.get(`${architecture}.context_length`)?.value ?? 0),
      fileBytes: (await stat(path)).size,
    };
  } finally {
    await file.close();
  }
}
