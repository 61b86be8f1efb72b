/** What this machine can do, each finding with its consequence in words. */
import { readFileSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { TritsmithError } from '../../contract/errors.ts';
import type { MachineDescription } from '../../contract/experiments.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { describeMachine, programVersions } from './machine.ts';
import { distillationBytes, qwen3Shapes } from './memory-estimate.ts';

export interface DoctorFinding {
  readonly name: string;
  readonly value: string;
  readonly consequence: string;
  readonly level: 'fine' | 'limit' | 'problem';
}
export interface DoctorReport {
  readonly machine: MachineDescription & { instructionSets: string[]; memoryFreeBytes: number };
  readonly workspace: { folder: string; freeBytes: number };
  readonly executionProviders: { name: string; bundled: boolean }[];
  readonly versions: Record<string, string>;
  readonly findings: DoctorFinding[];
}

/** Rows of this length, one at a time: the smallest step that the presets make. */
const rowTokens = 512;
/** Share of the memory that is left to the system and other programs. */
const headroomShare = 0.1;

export async function examine(port: SpawnPort, workspaceFolder: string): Promise<DoctorReport> {
  const machine = { ...describeMachine(), instructionSets: instructionSets(), memoryFreeBytes: freeMemory() };
  const { bavail, bsize } = statfsSync(workspaceFolder);
  const workspace = { folder: workspaceFolder, freeBytes: bavail * bsize };
  const probe = await askWorker(port, { type: 'probe-runtime' }).catch((error: unknown) => TritsmithError.from(error));
  const broken = probe instanceof TritsmithError ? probe : null;
  const executionProviders = probe instanceof TritsmithError ? [] : probe.executionProviders;
  const largest = qwen3Shapes.findLast((shape) =>
    fits(distillationBytes(shape, rowTokens, rowTokens, false), machine.memoryBytes),
  );
  return {
    machine,
    workspace,
    executionProviders,
    versions: programVersions(),
    findings: [
      cores(machine.cores),
      vectors(machine.architecture, machine.instructionSets),
      memory(machine.memoryBytes, machine.memoryFreeBytes, largest?.name),
      disk(workspace.freeBytes),
      providers(executionProviders, broken),
    ],
  };
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

function memory(total: number, free: number, largest: string | undefined): DoctorFinding {
  const smallest = qwen3Shapes[0]!;
  const need = (shape = smallest): string => gigabytes(distillationBytes(shape, rowTokens, rowTokens, false));
  const shape = qwen3Shapes.find(({ name }) => name === largest);
  const formula =
    'weights and training state of student and teacher, activations of one row of 512 tokens, 10 % kept free';
  return {
    name: 'Memory',
    value: `${gigabytes(total)} (${gigabytes(free)} free now)`,
    consequence:
      shape === undefined
        ? `Too little to distil ${smallest.name} (${need()} by ${formula}); smaller models fit.`
        : `The largest Qwen3 that can be distilled here is ${shape.name}: ${need(shape)} (${formula}).`,
    level: shape === undefined ? 'limit' : 'fine',
  };
}

function disk(freeBytes: number): DoctorFinding {
  // A 0.6 B run keeps weights and optimiser (12 bytes a parameter) as last and best, and two model folders (4 bytes each).
  const need = 596e6 * (2 * 12 + 2 * 4);
  const small = freeBytes < 1e9;
  return {
    name: 'Disk',
    value: `${gigabytes(freeBytes)} free`,
    consequence: small
      ? 'Checkpoints of all but the smallest students will not fit: free some space or choose another --workspace.'
      : freeBytes < need
        ? `Enough for small students; a 0.6 B run keeps about ${gigabytes(need)} of checkpoints and models.`
        : `Enough for a 0.6 B run (about ${gigabytes(need)} of checkpoints and models).`,
    level: small ? 'problem' : freeBytes < need ? 'limit' : 'fine',
  };
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
    consequence: 'Training runs on cpu; another provider is used only after its gradients have been checked.',
    level: 'fine',
  };
}

function freeMemory(): number {
  const available = process.availableMemory();
  return available > 0 ? available : freemem();
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
