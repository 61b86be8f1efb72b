/** The process that feeds a parser: `child.ts <parser> <seed> <from> <to> <folder>`. */
import { feed } from './feed.ts';
import { fuzzTargets } from './targets/index.ts';

const [parser, seed, from, to, folder = ''] = process.argv.slice(2);
await feed(
  fuzzTargets.find(({ name }) => name === parser)!,
  Number(seed),
  Number(from),
  Number(to),
  folder,
);
process.exit(0);
