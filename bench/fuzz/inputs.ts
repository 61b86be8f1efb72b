/** Input number `index` of a parser and seed: always the same bytes, so that a number is enough to repeat a failure. */
import { Random } from '../../main/basics/random.ts';
import { mutate } from './byte-mutations.ts';
import { mutateJson } from './json-mutations.ts';
import type { Sample } from './target.ts';

type Below = (limit: number) => number;

function mutateText(original: string, below: Below, words: readonly string[]): string {
  let text = original;
  for (let rounds = 1 + below(5); rounds > 0; rounds--) {
    const at = below(text.length + 1);
    const length = below(24);
    switch (below(5)) {
      case 0:
        text = text.slice(0, at) + text.slice(at + length);
        break;
      case 1:
        text = text.slice(0, at) + text.slice(at, at + length).repeat(1 + below(20)) + text.slice(at);
        break;
      default:
        text = text.slice(0, at) + (words[below(words.length)] ?? '') + text.slice(below(3) === 0 ? at + length : at);
    }
  }
  return text;
}

export interface FuzzInput {
  readonly sample: number;
  readonly bytes: Uint8Array;
}

/** Parsers are told apart by name, so that each gets inputs of its own. */
export function inputOf(parser: string, samples: readonly Sample[], seed: number, index: number): FuzzInput {
  let hash = seed ^ 0x9e37_79b9;
  for (const character of `${parser} ${index}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x0100_0193);
  const random = new Random(hash);
  const below: Below = (limit) => random.below(limit);
  const which = below(samples.length);
  const { files, damaged, as, focus, words = [] } = samples[which]!;
  const original = Buffer.from(files[damaged]!);
  let bytes: Uint8Array = original;
  const structured = as !== 'bytes' && below(3) > 0;
  if (structured && as === 'json') bytes = Buffer.from(mutateJson(original.toString('utf8'), below, words));
  if (structured && as === 'text') bytes = Buffer.from(mutateText(original.toString('utf8'), below, words));
  if (!structured || below(4) === 0) bytes = mutate(bytes, below, focus);
  return { sample: which, bytes };
}
