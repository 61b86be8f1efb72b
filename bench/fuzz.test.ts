import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuzzParser } from './fuzz/campaign.ts';
import { inputOf } from './fuzz/inputs.ts';
import { fuzzTargets } from './fuzz/targets/index.ts';

let failures: string;
beforeAll(() => {
  failures = mkdtempSync(path.join(tmpdir(), 'tritsmith-fuzz-failures-'));
});
afterAll(() => rmSync(failures, { recursive: true }));

/** Another seed finds other things: `TRITSMITH_FUZZ_SEED=7 npx vitest run bench/fuzz.test.ts`. */
const seed = Number(process.env['TRITSMITH_FUZZ_SEED'] ?? 20_261_122);
const inputs = 400;

describe(`every parser, up to ${inputs} damaged inputs of seed ${seed}`, () => {
  it.each(fuzzTargets.map(({ name, share = 1 }) => [name, Math.ceil(inputs * share)] as const))(
    '%s reads or refuses each of %i, without crash, hang, pollution, escape or a flood of memory',
    async (parser, most) => {
      const result = await fuzzParser(parser, seed, 0, most, failures);
      expect(result.failures.map(({ index, problem }) => `${parser} ${index}: ${problem}`)).toEqual([]);
      expect(result.inputs).toBe(most);
      // Neither so much damage that nothing is reached behind the first check, nor so little that nothing is damaged.
      expect(result.accepted).toBeGreaterThan(most / 100);
      if (!['checkpoint', 'corpus', 'class-folders'].includes(parser))
        expect(result.refused).toBeGreaterThan(most / 100);
    },
    1_200_000,
  );
});

describe('the fuzzer itself', () => {
  it('makes the same input from the same number, and others from others', () => {
    const samples = [{ files: { 'a.json': '{"a":[1,2,{"b":"c"}]}' }, damaged: 'a.json', as: 'json' as const }];
    const text = (seed: number, index: number) =>
      Buffer.from(inputOf('p', samples, seed, index).bytes).toString('latin1');
    expect(text(1, 5)).toBe(text(1, 5));
    expect(new Set(Array.from({ length: 50 }, (_, i) => text(1, i))).size).toBeGreaterThan(40);
    expect(text(2, 5)).not.toBe(text(1, 5));
  });

  it.each([
    ['throws', /threw TypeError: no TritsmithError/],
    ['pollutes', /changed the prototype of Object/],
    ['escapes', /outside its folder/],
    ['allocates', /took \d+ MB/],
    ['crashes', /crashed/],
    ['hangs', /hung for more than/],
  ])('notices a parser that %s, saves the file and goes on', async (fault, words) => {
    const folder = path.join(failures, fault);
    const result = await fuzzParser(fault, 1, 0, 3, folder, {
      entry: new URL('./fuzz/fixtures/faulty-child.ts', import.meta.url),
      // Only what hangs needs to be waited for.
      secondsPerInput: fault === 'hangs' ? 4 : 120,
    });
    expect(result.failures).toMatchObject([{ index: 1, problem: expect.stringMatching(words) as string }]);
    expect(readdirSync(folder)).toEqual([`${fault}-1-1-input.txt`]);
  });
});
