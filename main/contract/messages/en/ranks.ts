/** Runs on several machines: ranks, MPI, Slurm. */
import { bytesInWords } from '../../quantities.ts';
import type { Sentences } from '../sentences.ts';

/** Rank numbers in a sentence. */
const listed = (ranks: readonly number[]): string =>
  `${ranks.length === 1 ? 'Rank' : 'Ranks'} ${ranks.slice(0, 8).join(', ')}${ranks.length > 8 ? ' and others' : ''}`;

export const ranks = {
  'machine.mpi': (): Sentences => ({
    message: 'Clusters: MPI is here',
    reason: 'Several processes, of this machine or of others, can share one run (docs/cluster.md).',
  }),
  'machine.no-mpi': ({ missing }: { missing: readonly string[] }): Sentences => ({
    message: 'Clusters: MPI was not found',
    reason: `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not in the PATH, so several processes cannot share a run. Nothing else needs it.`,
  }),
  'ranks.shared': (share: {
    nodes: readonly string[];
    stepSeconds: number;
    computingSeconds: number;
    exchangeSeconds: number;
    sentBytes: number;
    waitingSeconds: number;
    slowest: number;
  }): Sentences => {
    const { nodes, stepSeconds, waitingSeconds, exchangeSeconds } = share;
    const exchange = `${inSeconds(exchangeSeconds)} exchange (${bytesInWords(share.sentBytes)} from each)`;
    const waits = waitingSeconds > waitsMuch * stepSeconds;
    return {
      message: `${nodes.length} ranks on ${places(nodes)} share each step. It takes ${inSeconds(stepSeconds)}: ${inSeconds(share.computingSeconds)} compute, ${exchange} and ${inSeconds(waitingSeconds)} wait for the slowest; the rest are sums, the optimiser and new codes.`,
      reason: waits
        ? `Rank ${share.slowest} on ${nodes[share.slowest] ?? '?'} is the slowest: another program may run there, or it is an older machine.`
        : undefined,
      remedy:
        exchangeSeconds > exchangesMuch * stepSeconds
          ? 'The exchange takes much of the time: larger steps (batchSize), fewer ranks or a faster network would use the machines better.'
          : undefined,
    };
  },
  'ranks.no-shards': ({ ranks: count }: { ranks: number }): Sentences => ({
    message: `This recipe is one for a single process; ${count} ranks cannot share it.`,
    reason: 'Its steps are single sums, whose bits would be others if they were added in parts.',
    remedy: 'Start a new run with --ranks: its recipe has shards, and goes on with any number of ranks later.',
  }),
  'ranks.not-a-divisor': ({ ranks: count, shards }: { ranks: number; shards: number }): Sentences => ({
    message: `${count} ranks cannot share ${shards} shards evenly.`,
    remedy: `Use ${powersUpTo(shards)} ranks.`,
  }),
  'ranks.rounded-parts': ({ parts, shards }: { parts: number; shards: number | null }): Sentences => ({
    message: `A rounded exchange of ${parts} parts needs a recipe in shards, in a multiple of ${parts} of them.`,
    reason: shards === null ? 'This recipe has none.' : `This recipe has ${shards}.`,
    remedy: 'Leave roundedExchange out of the recipe, or set shards to a multiple of it.',
  }),
  'ranks.more-than-parts': ({ ranks: count, parts }: { ranks: number; parts: number }): Sentences => ({
    message: `${count} ranks cannot share this run: its exchange is rounded in ${parts} parts.`,
    reason: 'More ranks than parts would have to round in other places, and train another student.',
    remedy: `Use ${powersUpTo(parts)} ranks, or start a new run with more.`,
  }),
  'ranks.nothing-to-round': (): Sentences => ({
    message: 'One rank exchanges nothing that could be rounded.',
    remedy: 'Say how many ranks are to share the run: --ranks 4 --round-exchange.',
  }),
  'ranks.too-many': ({ ranks: count, most }: { ranks: number; most: number }): Sentences => ({
    message: `${count} ranks are too many.`,
    remedy: `Use a power of two up to ${most}.`,
  }),
  'ranks.no-threads': (): Sentences => ({
    message: 'A run in shards needs its number of threads.',
    reason:
      'The threads of a rank decide the last digits of its products, so "as many as there are" would be another run on another machine.',
    remedy: 'Set threads in the recipe, or give --threads.',
  }),
  'ranks.differ': ({ ranks: others, what }: { ranks: readonly number[]; what: readonly string[] }): Sentences => ({
    message: 'The machines of this run would not compute the same.',
    reason: `${listed(others)} ${others.length === 1 ? 'differs' : 'differ'} from rank 0 in: ${what.join('; ')}.`,
    remedy:
      'Use machines with one kind of processor, and one installation of Tritsmith: a folder that they share, or copies of it. Files of the run must be the same everywhere.',
  }),
  'ranks.lost': ({ rank, node, signal }: { rank: number; node: string; signal: number }): Sentences => ({
    message: `Rank ${rank} on ${node} was lost, and the run ended with it.`,
    reason:
      signal === 9
        ? 'The system or another program ended it (signal 9): systems do this when memory runs out.'
        : `Signal ${signal} ended it.`,
    remedy: 'Resume the experiment: it goes on from its last checkpoint, with another number of ranks too.',
  }),
  'ranks.lost-machine': (): Sentences => ({
    message: 'A machine of this run can no longer be reached, and the run ended.',
    remedy: 'Resume the experiment: it goes on from its last checkpoint, with another number of ranks too.',
  }),
  'mpi.missing': (): Sentences => ({
    message: 'There is no MPI here, which ranks exchange through.',
    reason: 'Neither mpicxx nor mpirun was found.',
    remedy:
      'Install Open MPI 4 or 5 with its compiler (Debian: openmpi-bin and libopenmpi-dev; on a cluster often "module load openmpi"). docs/cluster.md leads through it.',
  }),
  'mpi.no-sources': (): Sentences => ({
    message: 'A portable archive cannot share a run between ranks.',
    reason: 'Their exchange is compiled for the MPI of the machines, and the archive has no sources.',
    remedy: 'Use a clone of Tritsmith on these machines (docs/cluster.md).',
  }),
  'mpi.not-built': (): Sentences => ({
    message: 'The exchange between ranks could not be compiled with the MPI of this machine.',
    remedy: 'The compiler says why; --verbose shows it. It needs mpicxx with a C++17 compiler.',
  }),
  'mpi.not-started': ({ program, problem }: { program: string; problem: string }): Sentences => ({
    message: `${program} could not start the ranks.`,
    reason: problem,
    remedy: 'docs/cluster.md says how to try it by itself.',
  }),
  'ranks.bad-hosts': ({ path, line }: { path: string; line: string }): Sentences => ({
    message: `${path} is not a list of machines.`,
    reason: `This line is neither a name nor a name with slots: ${line}`,
    remedy: 'Write one machine a line: its name or address, and "slots=2" behind it where it runs two ranks.',
  }),
  'ranks.too-few-slots': ({ ranks: count, slots }: { ranks: number; slots: number }): Sentences => ({
    message: `${count} ranks do not fit: the list of machines has room for ${slots}.`,
    remedy: 'List more machines, give some of them more slots, or use fewer ranks.',
  }),
  'ranks.no-network': (): Sentences => ({
    message: 'Ranks on other machines exchange weights and gradients in the clear.',
    reason: 'Whoever reads or writes on that network reads the model, or changes it.',
    remedy: 'Name the network that they are to use, and no other: --network 10.0.0.0/24, or an interface such as eth1.',
  }),
  'ranks.open-network': ({ network }: { network: string }): Sentences => ({
    message: `${network} is not a private network.`,
    reason: 'Ranks exchange weights and gradients in the clear, and believe whoever answers.',
    remedy: 'Use a network of your own. If others cannot reach this one either, say so with --trust-network.',
  }),
  'slurm.missing': (): Sentences => ({
    message: 'There is no sbatch here to submit the job with.',
    remedy: 'Submit the script on a login node of the cluster: sbatch <script>.',
  }),
  'slurm.refused': ({ problem }: { problem: string }): Sentences => ({
    message: 'Slurm did not take the job.',
    reason: problem,
    remedy: 'The script stays where it is: change it and submit it with sbatch.',
  }),
};

/** Shares of a step from which something is said of them. */
const waitsMuch = 0.15;
const exchangesMuch = 1 / 3;

function inSeconds(seconds: number): string {
  return seconds < 1 ? `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
}

/** Names of machines, each once. */
function places(nodes: readonly string[]): string {
  const names = [...new Set(nodes)];
  return names.length > 4 ? `${names.length} machines` : names.join(', ');
}

function powersUpTo(shards: number): string {
  const powers = [];
  for (let power = 1; power <= shards; power *= 2) powers.push(power);
  return `${powers.slice(0, -1).join(', ')} or ${shards}`;
}
