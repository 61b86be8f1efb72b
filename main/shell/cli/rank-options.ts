/** Flags of a run on several machines: how many ranks, where, and by which way they are started. The same for `run` and `resume`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { TritsmithError } from '../../contract/errors.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { mpiPort, mpirunCommand, type RankPlan, rankProgram } from '../../jobs/mpi-port.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { isPrivateNetwork, readMachines, recipeForRanks } from '../../workbench/machine/rank-plan.ts';
import { slurmScript, submitToSlurm } from '../../workbench/machine/slurm-script.ts';
import { wholeNumber } from './command.ts';
import { absolutePath } from './paths.ts';
import type { CommonOptions, Shell } from './shell.ts';

/** What a job script runs: the command line on this Node, which the launcher has built. */
const program = fileURLToPath(new URL('./main.ts', import.meta.url));

export interface RankOptions extends CommonOptions {
  readonly ranks?: number;
  readonly threads?: number;
  readonly roundExchange?: boolean;
  readonly machines?: string;
  readonly network?: string;
  readonly trustNetwork?: boolean;
  readonly slurm?: string;
  readonly slurmOptions?: string[];
  readonly submit?: boolean;
  readonly printCommand?: boolean;
}

export function withRankOptions(command: Command): Command {
  return command
    .option(
      '--ranks <number>',
      'processes that share the training: 1, 2, 4, 8 ...; the student does not depend on it',
      wholeNumber(1),
    )
    .option(
      '--machines <file>',
      'machines of the ranks, one a line, as Open MPI reads it (docs/cluster.md); needs --network',
    )
    .option('--network <address/bits>', 'the network, or the interface, that ranks use among machines, and no other')
    .option('--trust-network', 'use that network although its addresses are public')
    .option('--slurm <script>', 'write a job script for Slurm there, and run nothing')
    .option('--slurm-options <options>', 'further options of sbatch: "--partition=long --time=24:00:00"', sbatchOptions)
    .option('--submit', 'with --slurm: submit the job')
    .option('--print-command', 'print the mpirun command that starts the ranks, and run nothing');
}

function sbatchOptions(text: string): string[] {
  const options = text.split(/\s+/).filter((option) => option !== '');
  const strange = options.find((option) => !/^--?\w/.test(option));
  if (strange !== undefined) throw new InvalidArgumentError(`${strange} is no option; write values behind a "=".`);
  return options;
}

/** Ranks that the flags ask for; null: none, a run as ever. @throws TritsmithError `bad-input` */
export function rankPlanOf({ ranks, machines, network, trustNetwork, slurm }: RankOptions): RankPlan | null {
  if (machines === undefined && ranks === undefined && slurm === undefined) return null;
  const listed = machines === undefined ? null : readMachines(absolutePath(machines));
  const slots = listed?.reduce((sum, each) => sum + each.slots, 0) ?? null;
  const count = ranks ?? slots ?? 1;
  if (slots !== null && count > slots)
    throw new TritsmithError('bad-input', 'ranks.too-few-slots', { ranks: count, slots });
  if (listed !== null && network === undefined) throw new TritsmithError('bad-input', 'ranks.no-network');
  if (network !== undefined && trustNetwork !== true && !isPrivateNetwork(network))
    throw new TritsmithError('bad-input', 'ranks.open-network', { network });
  return {
    ranks: count,
    ...(listed === null ? {} : { machines: listed }),
    ...(network === undefined ? {} : { network }),
  };
}

/** The recipe of a new run that these ranks share. */
export function withRanks(
  recipe: Recipe,
  plan: RankPlan | null,
  { threads, slurm, roundExchange = false }: RankOptions,
): Recipe {
  if (plan === null) {
    if (roundExchange) throw new TritsmithError('bad-input', 'ranks.nothing-to-round');
    return threads === undefined ? recipe : { ...recipe, threads };
  }
  const here = plan.machines === undefined && slurm === undefined ? plan.ranks : 1;
  return recipeForRanks(recipe, plan.ranks, here, threads, roundExchange);
}

/** Starts the workers of jobs that ranks share; undefined: the ordinary ones. @throws TritsmithError where there is no MPI */
export function ranksPort(plan: RankPlan | null): SpawnPort | undefined {
  return plan === null || plan.ranks === 1 ? undefined : mpiPort(plan);
}

/**
 * What stands in the place of a run where the flags ask for a script or a command alone.
 * @param command what the job of Slurm runs besides the program: the subcommand and its arguments
 * @returns whether they did
 */
export function handedOver(
  shell: Shell,
  plan: RankPlan | null,
  recipe: Recipe,
  options: RankOptions,
  command: () => readonly string[],
): boolean {
  if (plan === null) return false;
  if (options.printCommand === true) {
    shell.out(`${mpirunCommand(plan, rankProgram()).join(' ')}\n`);
    return true;
  }
  if (options.slurm === undefined) return false;
  const script = absolutePath(options.slurm);
  const job = {
    name: recipe.name,
    ranks: plan.ranks,
    threads: recipe.threads,
    command: [
      ...[process.execPath, program, ...command(), '--ranks', String(plan.ranks)],
      ...(plan.network === undefined ? [] : ['--network', plan.network]),
      ...(options.trustNetwork === true ? ['--trust-network'] : []),
      ...(options.workspace === undefined ? [] : ['--workspace', absolutePath(options.workspace)]),
    ],
    output: `${script}.%j.log`,
    options: options.slurmOptions ?? [],
  };
  try {
    writeFileSync(script, slurmScript(job), { mode: 0o700 });
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  shell.err(`Job script: ${script}\n`);
  if (options.submit === true) shell.out(`${submitToSlurm(script)}\n`);
  else shell.err(`To submit it: sbatch ${script}\n`);
  return true;
}

/** Keeps the recipe beside the script that will run it. @returns its path */
export function recipeBeside(script: string, recipe: Recipe): string {
  const path = `${absolutePath(script)}.recipe.json`;
  writeFileSync(path, `${JSON.stringify(recipe, null, 2)}\n`, { mode: 0o600 });
  return path;
}
