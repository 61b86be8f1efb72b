/** What this machine can do, each finding with its consequence in words. */
import { readFileSync, statfsSync } from 'node:fs';
import { freeMemory } from '../../basics/free-memory.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { type ModelForecast, sumOf } from '../../contract/estimates.ts';
import { largestModelText, roomText } from '../../contract/messages/estimates.en.ts';
import type { DoctorFinding, DoctorReport } from '../../contract/views.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { describeMachine, programVersions } from './machine.ts';

/** Share of the memory that is left to the system and other programs. */
const headroomShare = 0.1;

export async function examine(port: SpawnPort, workspaceFolder: string): Promise<DoctorReport> {
  const machine = { ...describeMachine(), instructionSets: instructionSets(), memoryFreeBytes: freeMemory() };
  const { bavail, bsize } = statfsSync(workspaceFolder);
  const workspace = { folder: workspaceFolder, freeBytes: bavail * bsize };
  const probe = await askWorker(port, { type: 'probe-runtime' }).catch((error: unknown) => TritsmithError.from(error));
  const broken = probe instanceof TritsmithError ? probe : null;
  const executionProviders = probe instanceof TritsmithError ? [] : probe.executionProviders;
  const models = broken === null ? await publishedModels(port) : [];
  return {
    machine,
    workspace,
    executionProviders,
    versions: programVersions(),
    findings: [
      cores(machine.cores),
      vectors(machine.architecture, machine.instructionSets),
      memory(machine.memoryBytes, machine.memoryFreeBytes, models),
      disk(workspace.freeBytes, models[0]),
      providers(executionProviders, broken),
    ],
  };
}

/** The same whenever it is asked, so it is asked once. */
let published: Promise<ModelForecast[]> | null = null;
function publishedModels(port: SpawnPort): Promise<ModelForecast[]> {
  published ??= askWorker(port, { type: 'forecast-published' });
  published.catch(() => {
    published = null;
  });
  return published;
}

function fits(bytes: number, memoryBytes: number): boolean {
  return bytes <= memoryBytes * (1 - headroomShare);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

function cores(count: number): DoctorFinding {
  return {
    name: 'Cores',
    value: String(count),
    consequence:
      count >= 8
        ? 'Students up to 0.6 B train in days; small ones in minutes.'
        : 'Small students train in minutes to hours; a 0.6 B student would take weeks here.',
    level: count >= 8 ? 'fine' : 'limit',
  };
}

function vectors(architecture: string, sets: readonly string[]): DoctorFinding {
  const value = sets.length === 0 ? 'unknown' : sets.join(', ');
  const name = 'Instruction sets';
  if (sets.includes('AVX-512 VNNI') || sets.includes('AVX-VNNI') || sets.includes('DOTPROD'))
    return { name, value, consequence: 'Integer dot products in hardware: the fastest kernels run.', level: 'fine' };
  if (sets.includes('AVX2'))
    return { name, value, consequence: 'The AVX2 kernels run: about half the speed of VNNI.', level: 'limit' };
  if (architecture === 'arm64') return { name, value, consequence: 'The NEON kernels run.', level: 'fine' };
  return { name, value, consequence: 'Only the portable kernels run: exact, but slow.', level: 'limit' };
}

function memory(total: number, free: number, models: readonly ModelForecast[]): DoctorFinding {
  const largest = models.findLast((model) => fits(sumOf(model.memory), total));
  return {
    name: 'Memory',
    value: `${gigabytes(total)} (${gigabytes(free)} free now)`,
    consequence: largestModelText(models, largest),
    level: largest === undefined ? 'limit' : 'fine',
  };
}

function disk(freeBytes: number, smallest: ModelForecast | undefined): DoctorFinding {
  const finding = { name: 'Disk', value: `${gigabytes(freeBytes)} free` };
  if (freeBytes < 1e9)
    return {
      ...finding,
      consequence:
        'Checkpoints of all but the smallest students will not fit: free some space or choose another --workspace.',
      level: 'problem',
    };
  if (smallest === undefined) return { ...finding, consequence: 'Enough for small students.', level: 'limit' };
  const level = freeBytes < sumOf(smallest.disk) ? 'limit' : 'fine';
  return { ...finding, consequence: roomText(smallest, freeBytes), level };
}

function providers(found: readonly { name: string; bundled: boolean }[], broken: TritsmithError | null): DoctorFinding {
  const name = 'Execution providers';
  if (broken !== null)
    return {
      name,
      value: 'none',
      consequence: `The training engine does not load: ${broken.message}`,
      level: 'problem',
    };
  const usable = found.filter((provider) => provider.bundled).map((provider) => provider.name);
  return {
    name,
    value: usable.join(', '),
    consequence: 'Training runs on cpu; the engine uses no other provider.',
    level: 'fine',
  };
}

/** What the kernels care about, from /proc/cpuinfo; empty where the system does not tell. */
export function instructionSets(cpuinfo: string = readCpuinfo()): string[] {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? '';
  const flags = new Set(line.trim().split(/\s+/));
  const names: [flag: string, name: string][] = [
    ['avx2', 'AVX2'],
    ['fma', 'FMA'],
    ['f16c', 'F16C'],
    ['avx_vnni', 'AVX-VNNI'],
    ['avx512f', 'AVX-512'],
    ['avx512_vnni', 'AVX-512 VNNI'],
    ['amx_int8', 'AMX-INT8'],
    ['asimd', 'NEON'],
    ['asimddp', 'DOTPROD'],
    ['i8mm', 'I8MM'],
  ];
  return names.filter(([flag]) => flags.has(flag)).map(([, name]) => name);
}

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}
