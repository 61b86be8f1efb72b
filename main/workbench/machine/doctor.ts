/** What this machine can do, each finding as a message of the catalogue with what follows from it. */
import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freeMemory } from '../../basics/free-memory.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { CardState } from '../../contract/cards.ts';
import type { ModelForecast } from '../../contract/estimates.ts';
import { sumOf } from '../../contract/quantities.ts';
import { message } from '../../contract/messages/message.ts';
import { tellError } from '../../contract/messages/told.ts';
import type { DoctorFinding, DoctorReport } from '../../contract/views.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { describeMachine, programVersions } from './machine.ts';

/** Share of the memory that is left to the system and other programs. */
const headroomShare = 0.1;

export async function examine(port: SpawnPort, workspaceFolder: string): Promise<DoctorReport> {
  const { bavail, bsize } = statfsSync(workspaceFolder);
  const workspace = { folder: workspaceFolder, freeBytes: bavail * bsize };
  const probe = await askWorker(port, { type: 'probe-runtime' }).catch((error: unknown) => TritsmithError.from(error));
  const broken = probe instanceof TritsmithError ? probe : null;
  const executionProviders = probe instanceof TritsmithError ? [] : probe.executionProviders;
  const machine = {
    ...describeMachine(),
    instructionSets: instructionSets(readCpuinfo(), probe instanceof TritsmithError ? [] : probe.kernels),
    memoryFreeBytes: freeMemory(),
  };
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
      ...(probe instanceof TritsmithError ? [] : [graphicsCard(probe.card)]),
      otherComputers(),
      ranks(),
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

function cores(count: number): DoctorFinding {
  const enough = count >= 8;
  return { ...message('machine.cores', { cores: count, enough }), level: enough ? 'fine' : 'limit' };
}

function vectors(architecture: string, sets: readonly string[]): DoctorFinding {
  const kernels = ['AVX-512 VNNI', 'AVX-VNNI', 'DOTPROD'].some((name) => sets.includes(name))
    ? 'dot-products'
    : sets.includes('AVX2')
      ? 'avx2'
      : architecture === 'arm64'
        ? 'neon'
        : 'portable';
  const level = kernels === 'dot-products' || kernels === 'neon' ? 'fine' : 'limit';
  return { ...message('machine.instruction-sets', { sets, kernels }), level };
}

function memory(total: number, free: number, models: readonly ModelForecast[]): DoctorFinding {
  const largest = models.findLast((model) => fits(sumOf(model.memory), total));
  return {
    ...message('machine.memory', { total, free, models, largest }),
    level: largest === undefined ? 'limit' : 'fine',
  };
}

function disk(free: number, smallest: ModelForecast | undefined): DoctorFinding {
  if (free < 1e9) return { ...message('machine.disk-full', { free }), level: 'problem' };
  const level = smallest === undefined || free < sumOf(smallest.disk) ? 'limit' : 'fine';
  return { ...message('machine.disk', { free, smallest }), level };
}

function providers(found: readonly { name: string; bundled: boolean }[], broken: TritsmithError | null): DoctorFinding {
  if (broken !== null) return { ...message('machine.no-engine', { problem: tellError(broken) }), level: 'problem' };
  const usable = found.filter((provider) => provider.bundled).map((provider) => provider.name);
  return { ...message('machine.providers', { providers: usable }), level: 'fine' };
}

function graphicsCard({ installed, found, verdict }: CardState): DoctorFinding {
  if (!installed) return { ...message('machine.no-webgpu'), level: 'fine' };
  if (!found) return { ...message('machine.no-card'), level: 'limit' };
  const level = verdict?.failed ? 'problem' : 'fine';
  return { ...message('machine.card', { ...found, verdict }), level };
}

/** Runs on other computers go over the system's ssh. */
function otherComputers(): DoctorFinding {
  const level = isProgram('ssh') ? 'fine' : 'limit';
  return { ...message(level === 'fine' ? 'machine.ssh' : 'machine.no-ssh'), level };
}

/** Runs that several processes share need MPI: `mpicxx` to compile the exchange, `mpirun` to start the ranks. */
function ranks(): DoctorFinding {
  const missing = ['mpicxx', 'mpirun'].filter((name) => !isProgram(name));
  return missing.length === 0
    ? { ...message('machine.mpi'), level: 'fine' }
    : { ...message('machine.no-mpi', { missing }), level: 'fine' };
}

/** Whether the PATH has a program of that name. Nothing is started. */
export function isProgram(name: string, path = process.env['PATH'] ?? ''): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, process.platform === 'win32' ? `${name}.exe` : name), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

/** What the kernels care about, from /proc/cpuinfo; where the system has no such file, what `kernels`, those that run here, say of it. */
export function instructionSets(cpuinfo: string, kernels: readonly string[]): string[] {
  if (cpuinfo === '') return ofKernels.filter(([kernel]) => kernels.includes(kernel)).map(([, name]) => name);
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

const ofKernels: [kernel: string, name: string][] = [
  ['avx2', 'AVX2'],
  ['avx-vnni', 'AVX-VNNI'],
  ['avx512-vnni', 'AVX-512 VNNI'],
  ['neon-dot', 'DOTPROD'],
];

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}
