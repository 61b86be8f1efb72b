/** A run as a job of Slurm: the batch script, and its submission. */
import { spawnSync } from 'node:child_process';
import { TritsmithError } from '../../contract/errors.ts';

export interface SlurmJob {
  readonly name: string;
  readonly ranks: number;
  /** Of each rank. */
  readonly threads: number;
  /** What the job runs, on the first of its machines. */
  readonly command: readonly string[];
  /** Where its output goes; Slurm puts the job's number in the place of %j. */
  readonly output: string;
  /** Further options of sbatch, such as --partition=long. */
  readonly options: readonly string[];
}

/** Seconds before its time limit in which a job saves its state. */
const savingSeconds = 300;

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
/** On a line of its own: what is between line ends would be another line of the script. */
const oneLine = (text: string): string => text.replace(/[\r\n]+/g, ' ');

export function slurmScript({ name, ranks, threads, command, output, options }: SlurmJob): string {
  const directives = [
    `--job-name=${quoted(
      oneLine(name)
        .replace(/[^\w.-]+/g, '-')
        .slice(0, 60),
    )}`,
    `--ntasks=${ranks}`,
    '--ntasks-per-node=1',
    `--cpus-per-task=${threads}`,
    `--output=${quoted(output)}`,
    // To the script alone, which is Tritsmith by then: it pauses and saves.
    `--signal=B:TERM@${savingSeconds}`,
    ...options.map(oneLine),
  ];
  return `#!/bin/bash
${directives.map((directive) => `#SBATCH ${directive}`).join('\n')}

# Since Slurm 22.05 a step does not take over --cpus-per-task by itself.
export SRUN_CPUS_PER_TASK=${threads}
# The program starts mpirun for each stage; mpirun starts a rank on every machine of the job.
exec ${command.map(quoted).join(' ')}
`;
}

/** Hands the script to Slurm. @returns the number of the job @throws TritsmithError where there is no sbatch, or it refuses */
export function submitToSlurm(script: string): string {
  const { status, stdout, stderr, error } = spawnSync('sbatch', ['--parsable', script], { encoding: 'utf8' });
  if (error !== undefined) throw new TritsmithError('not-found', 'slurm.missing');
  if (status !== 0) throw new TritsmithError('bad-input', 'slurm.refused', { problem: stderr.trim() });
  return /^\d+/.exec(stdout)?.[0] ?? stdout.trim();
}
