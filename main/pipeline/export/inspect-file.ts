/** What is in a GGUF or safetensors file, and who can run it. Reads one tensor at a time. */
import { open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { FileInspection, RunVerdict } from '../../contract/queries.ts';
import { type GgufFile, hasScaleAtEnd, openGguf, tensorTypeByName } from '../../formats/gguf/index.ts';
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors/index.ts';
import { readModelSettings } from '../../models/companion-files.ts';
import { unpackRows } from '../../models/ternary-codes.ts';
import { isTernaryType, scaleName } from './gguf-encoding.ts';
import { ggufVerdicts, no, yes } from './run-verdicts.ts';

type InspectedTensor = FileInspection['tensors'][number];

const longestValue = 160;

function shortened(value: unknown): string {
  const list = Array.isArray(value) ? value : null;
  const text = list
    ? `[${list.length}] ${list
        .slice(0, 8)
        .map((item) => JSON.stringify(item))
        .join(', ')}`
    : String(value);
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;
}

function isLinear(name: string): boolean {
  return /^blk\..*(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight$|layers\..*_proj\.weight$/.test(name);
}

/**
 * Zeros and scale of ternary values, which in a block are 0 or plus or minus one number (`magnitude` is null where it is not one for all blocks); null for others,
 * which these types can hold too.
 */
function ternaryFacts(
  values: Float32Array | Int8Array,
  block = values.length,
): { zeros: number; magnitude: number | null } | null {
  let zeros = 0;
  const magnitudes = new Set<number>();
  for (let first = 0; first < values.length; first += block) {
    let magnitude = 0;
    for (const value of values.subarray(first, first + block)) {
      const size = Math.abs(value);
      if (size === 0) zeros += 1;
      else if (magnitude === 0) magnitude = size;
      else if (size !== magnitude) return null;
    }
    if (magnitude !== 0 && magnitudes.size < 2) magnitudes.add(magnitude);
  }
  return { zeros, magnitude: magnitudes.size > 1 ? null : ([...magnitudes][0] ?? 0) };
}

async function ggufTensors(file: GgufFile): Promise<{ tensors: InspectedTensor[]; zeros: number; weights: number }> {
  const tensors: InspectedTensor[] = [];
  let zeros = 0;
  let weights = 0;
  for (const [name, { type, shape, bytes, count }] of file.tensors) {
    const tensor = { name, type, shape: [...shape], bytes, zeroFraction: null, scale: null };
    const block = isTernaryType(type) && !hasScaleAtEnd(type) ? tensorTypeByName(type).blockValues : count;
    const found = isTernaryType(type) ? ternaryFacts(await file.readFloat32(name), block) : null;
    if (found === null) {
      tensors.push(tensor);
      continue;
    }
    const beside = file.tensors.has(scaleName(name)) ? await file.readFloat32(scaleName(name)) : Float32Array.of(1);
    const { magnitude } = found;
    zeros += found.zeros;
    weights += count;
    const scale = magnitude === null || beside.length > 1 ? null : magnitude * beside[0]!;
    tensors.push({ ...tensor, zeroFraction: found.zeros / count, scale });
  }
  return { tensors, zeros, weights };
}

async function safetensorsTensors(
  file: SafetensorsFile,
): Promise<{ tensors: InspectedTensor[]; zeros: number; weights: number }> {
  const tensors: InspectedTensor[] = [];
  let zeros = 0;
  let weights = 0;
  for (const [name, { dtype, shape, begin, end }] of file.tensors) {
    const tensor = { name, type: dtype, shape: [...shape], bytes: end - begin, zeroFraction: null, scale: null };
    const packed = dtype === 'U8' && file.tensors.has(`${name}_scale`);
    const values = packed ? unpackRows(await file.readBytes(name)) : new Int8Array();
    const found = packed ? ternaryFacts(values) : null;
    if (found === null) {
      tensors.push(tensor);
      continue;
    }
    zeros += found.zeros;
    weights += values.length;
    tensors.push({
      ...tensor,
      zeroFraction: found.zeros / values.length,
      scale: (await file.readFloat32(`${name}_scale`))[0]!,
    });
  }
  return { tensors, zeros, weights };
}

function typesOf(tensors: readonly InspectedTensor[]): FileInspection['types'] {
  const types = new Map<string, { type: string; tensors: number; bytes: number }>();
  for (const { type, bytes } of tensors) {
    const entry = types.get(type) ?? { type, tensors: 0, bytes: 0 };
    types.set(type, { type, tensors: entry.tensors + 1, bytes: entry.bytes + (bytes ?? 0) });
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes);
}

function summary(tensors: InspectedTensor[], zeros: number, weights: number) {
  const packed = (type: string): number => (type === 'U8' ? 4 : 1);
  return {
    parameters: tensors.reduce(
      (sum, { name, shape, type }) =>
        /[._]scale$/.test(name) ? sum : sum + shape.reduce((product, size) => product * size, packed(type)),
      0,
    ),
    bodyBytes: tensors.reduce((sum, { name, bytes }) => (isLinear(name) ? sum + (bytes ?? 0) : sum), 0),
    zeroFraction: weights === 0 ? null : zeros / weights,
    types: typesOf(tensors),
    tensors,
  };
}

async function inspectGguf(path: string): Promise<FileInspection> {
  const file = await openGguf(path);
  try {
    const { tensors, zeros, weights } = await ggufTensors(file);
    const text = (key: string): string | null => {
      const entry = file.metadata.get(key);
      return entry?.type === 'string' ? entry.value : null;
    };
    return {
      path,
      format: 'gguf',
      fileBytes: (await stat(path)).size,
      architecture: text('general.architecture'),
      name: text('general.name'),
      ...summary(tensors, zeros, weights),
      metadata: [...file.metadata].map(([key, { value }]) => ({ key, value: shortened(value) })),
      verdicts: ggufVerdicts(file),
    };
  } finally {
    await file.close();
  }
}

interface FolderConfig {
  model_type?: unknown;
  quantization_config?: { quant_method?: unknown };
  tritsmith?: { ternary?: unknown };
}

async function configBeside(path: string): Promise<FolderConfig | null> {
  try {
    return await readModelSettings(dirname(path), 'config.json');
  } catch {
    return null;
  }
}

function safetensorsVerdicts(config: FolderConfig | null): RunVerdict[] {
  const latent = config?.tritsmith?.ternary === true;
  const student = latent || config?.quantization_config !== undefined;
  const onlyGguf = no('verdict.only-gguf', { student });
  return [
    {
      program: 'Tritsmith',
      ...(student ? no('verdict.runtime-reads-gguf', { student }) : no('verdict.teacher')),
    },
    { program: 'bitnet.cpp', ...onlyGguf },
    { program: 'llama.cpp', ...onlyGguf },
    {
      program: 'transformers',
      ...(config === null
        ? no('verdict.no-configuration')
        : latent
          ? no('verdict.latent')
          : yes('verdict.folder', { type: String(config.model_type) })),
    },
  ];
}

async function inspectSafetensors(path: string): Promise<FileInspection> {
  const file = await openSafetensors(path);
  try {
    const { tensors, zeros, weights } = await safetensorsTensors(file);
    const config = await configBeside(path);
    return {
      path,
      format: 'safetensors',
      fileBytes: (await stat(path)).size,
      architecture: typeof config?.model_type === 'string' ? config.model_type : null,
      name: null,
      ...summary(tensors, zeros, weights),
      metadata: Object.entries(file.metadata).map(([key, value]) => ({ key, value: shortened(value) })),
      verdicts: safetensorsVerdicts(config),
    };
  } finally {
    await file.close();
  }
}

function otherKind(path: string, reason: string): TritsmithError {
  return new TritsmithError('bad-input', 'inspect.unknown-file', { path, reason });
}

/** The weights of a model folder; of one in several files each is to be named by itself. */
async function weightsIn(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(safetensors|gguf)$/.test(name)).sort();
  if (names.includes('model.safetensors')) return join(folder, 'model.safetensors');
  if (names.length === 1) return join(folder, names[0]!);
  throw new TritsmithError('bad-input', 'inspect.folder', { folder, files: names });
}

/**
 * Inspects a GGUF or safetensors file, told apart by its first bytes.
 * @throws TritsmithError `not-found`, `bad-input` (a folder, another kind of file), `damaged`, `unsupported`
 */
export async function inspectFile(path: string): Promise<FileInspection> {
  const start = Buffer.alloc(9);
  try {
    const status = await stat(path);
    if (status.isDirectory()) return await inspectFile(await weightsIn(path));
    if (status.size === 0) throw otherKind(path, 'It is empty.');
    const handle = await open(path, 'r');
    await handle.read(start, 0, 9, 0).finally(() => handle.close());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new TritsmithError('not-found', 'inspect.missing', { path });
    throw TritsmithError.from(error);
  }
  if (start.toString('latin1', 0, 4) === 'GGUF') return inspectGguf(path);
  if (start[8] === '{'.charCodeAt(0)) return inspectSafetensors(path);
  throw otherKind(
    path,
    path.endsWith('.onnx')
      ? 'By its name it is an ONNX file: what ONNX Runtime made of it when it was exported is shown with its experiment.'
      : 'It begins with neither "GGUF" nor the header of a safetensors file.',
  );
}
