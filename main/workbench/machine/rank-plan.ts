/** Which ranks a run has and where: lists of machines, the network between them, and the recipe that they can share. */
import { readFileSync } from 'node:fs';
import { BlockList, isIPv4 } from 'node:net';
import { availableParallelism, networkInterfaces } from 'node:os';
import { TritsmithError } from '../../contract/errors.ts';
import { assertRanksShare } from '../../contract/ranks-of-recipe.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { Machine } from '../../jobs/mpi-port.ts';

/** Shards of a run that does not say how many: as many ranks may share it later. */
const usualShards = 8;
const mostRanks = 64;

/**
 * The recipe with shards for so many ranks, and with a number of threads: both stay what they are for the whole run.
 * @param threads of each rank; default: those of the recipe, else the cores of this machine for each of `here` ranks on it
 * @param rounds whether as many ranks are to exchange rounded numbers
 * @throws TritsmithError `bad-input` where the ranks are no power of two, too many, or no divisor of the recipe's shards; or one, where `rounds`
 */
export function recipeForRanks(recipe: Recipe, ranks: number, here: number, threads?: number, rounds = false): Recipe {
  if (ranks > mostRanks) throw new TritsmithError('bad-input', 'ranks.too-many', { ranks, most: mostRanks });
  const shards = recipe.shards ?? shardsFor(ranks);
  if (rounds && ranks === 1) throw new TritsmithError('bad-input', 'ranks.nothing-to-round');
  const roundedExchange = rounds ? (ranks as NonNullable<Recipe['roundedExchange']>) : recipe.roundedExchange;
  assertRanksShare({ shards, roundedExchange }, ranks);
  const each = threads ?? (recipe.threads || Math.max(1, Math.floor(availableParallelism() / here)));
  return { ...recipe, shards, threads: each, ...(roundedExchange === undefined ? {} : { roundedExchange }) };
}

function shardsFor(ranks: number): NonNullable<Recipe['shards']> {
  return ([8, 16, 32, 64] as const).find((count) => count >= ranks) ?? usualShards;
}

/** The machines of a list in the form of Open MPI; one without slots takes one rank. @throws TritsmithError `bad-input`, and those of reading a file */
export function readMachines(path: string): Machine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  return text.split('\n').flatMap((whole) => {
    const line = whole.replace(/#.*/, '').trim();
    if (line === '') return [];
    const found = /^(\w[\w.-]*)(?:\s+(?:slots\s*=\s*(\d+)|max_slots\s*=\s*\d+))*$/.exec(line);
    if (!found) throw new TritsmithError('bad-input', 'ranks.bad-hosts', { path, line });
    return [{ name: found[1]!, slots: Number(found[2] ?? 1) }];
  });
}

const privateNetworks = new BlockList();
for (const [address, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['127.0.0.0', 8],
] as const)
  privateNetworks.addSubnet(address, bits);

/** The first and the last address of a network as address/bits; null for what is none. */
function endsOf(network: string): [string, string] | null {
  const [address, text, ...more] = network.split('/');
  const bits = Number(text);
  if (address === undefined || !isIPv4(address) || more.length > 0 || !/^\d+$/.test(text ?? '') || bits > 32)
    return null;
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - bits);
  const first = Math.floor(number / size) * size;
  const written = (value: number): string =>
    [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
  return [written(first), written(first + size - 1)];
}

/**
 * Whether ranks may exchange in the clear over these networks (address/bits) and interfaces of this machine, separated by commas: all of their addresses
 * are private ones. An interface that this machine does not have is not known to be.
 */
export function isPrivateNetwork(networks: string): boolean {
  return networks.split(',').every((network) => {
    const addresses = network.includes('/')
      ? endsOf(network)
      : networkInterfaces()[network]?.flatMap(({ address, family }) => (family === 'IPv4' ? [address] : []));
    return addresses != null && addresses.length > 0 && addresses.every((address) => privateNetworks.check(address));
  });
}
