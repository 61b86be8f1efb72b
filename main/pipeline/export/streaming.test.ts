/** Writing an export holds one tensor at a time, and leaves nothing where it stops or fails. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tinyConfiguration, tinyParameters, tokenizerFolder } from '../../models/fixtures/tiny-model.ts';
import { writeGgufModel } from './gguf-file.ts';
import { writeOnnxModel } from './onnx-file.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import type { TensorSource } from './tensor-source.ts';

const child = fileURLToPath(new URL('fixtures/write-large-student.ts', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-streaming-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('writing a student of 50 million parameters', () => {
  it.each(['gguf', 'hf', 'onnx'])('as %s takes memory for a few tensors, not for the model', async (format) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', child, format, folder]);
    const found = JSON.parse(stdout) as Record<string, number>;
    const parameters = found['parameters']!;
    expect(parameters).toBeGreaterThan(50e6);
    // As values the model is 200 MB, packed 13 MB; the largest tensor is 3 MB.
    expect(found['heldBytes']).toBeLessThan(4 * found['largestTensorBytes']!);
    expect(found['heldBytes']).toBeLessThan(parameters / 4 / 2);
    expect(found['residentBytes']).toBeLessThan(2 * parameters);
  });
});

const writers = {
  gguf: (tensors: TensorSource, onTensor?: (done: number) => Promise<void>) => {
    const model = { name: 'model', configuration: tinyConfiguration(), tensors, tokenizer: tokenizerFolder };
    return writeGgufModel(join(folder, 'model'), model, { linear: 'TQ2_0', embedding: 'F16' }, onTensor);
  },
  onnx: (tensors: TensorSource, onTensor?: (done: number) => Promise<void>) =>
    writeOnnxModel(join(folder, 'model'), tinyConfiguration(), tensors, 'F16', onTensor),
};

describe.each(['gguf', 'onnx'] as const)('a file of kind %s', (format) => {
  const tensors = tensorsInMemory(tinyParameters(tinyConfiguration()));

  it('leaves nothing when it is stopped at any constant', async () => {
    let total = 0;
    await writers[format](tensors, () => Promise.resolve(void (total += 1)));
    rmSync(join(folder, 'model'));
    for (const at of [0, 1, Math.floor(total / 2), total - 1]) {
      const stopping = writers[format](tensors, (done) =>
        done === at ? Promise.reject(new Error('stopped')) : Promise.resolve(),
      );
      await expect(stopping).rejects.toThrowError('stopped');
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('leaves nothing when a tensor can not be read, and the file of before as it was', async () => {
    await writers[format](tensors);
    const before = readdirSync(folder);
    let reads = 0;
    const failing: TensorSource = {
      read: (name) => ((reads += 1) > 10 ? Promise.reject(new Error('unreadable')) : tensors.read(name)),
      close: () => Promise.resolve(),
    };
    await expect(writers[format](failing)).rejects.toThrowError('unreadable');
    expect(readdirSync(folder)).toEqual(before);
  });
});
