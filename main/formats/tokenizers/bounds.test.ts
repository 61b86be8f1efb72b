import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileTemplate, loadTokenizer } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-bounds-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A tokenizer over a few letters with the given steps, in a folder of its own. */
async function tokenizerWith(name: string, steps: object): Promise<string> {
  const target = path.join(folder, name);
  await mkdir(target);
  const vocab = { '<unk>': 0, a: 1, b: 2, ab: 3 };
  const model = { type: 'BPE', unk_token: '<unk>', vocab, merges: ['a b'] };
  await writeFile(path.join(target, 'tokenizer.json'), JSON.stringify({ model, added_tokens: [], ...steps }));
  return target;
}

const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });

describe('a tokenizer made to exhaust the machine', () => {
  it('is stopped inside a pattern whose time doubles with every letter', async () => {
    const tokenizer = await loadTokenizer(await tokenizerWith('evil', { pre_tokenizer: split('^(a+)+$') }));
    expect(tokenizer.encode('ab')).toEqual([3]);
    expect(() => tokenizer.encode(`${'a'.repeat(60)}b`)).toThrow(
      expect.objectContaining({ name: 'TritsmithError', code: 'bad-input' }),
    );
    expect(tokenizer.encode('ab')).toEqual([3]);
  });

  it('is refused when its replacements multiply', async () => {
    const double = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' };
    const twelve = { normalizer: { type: 'Sequence', normalizers: Array(12).fill(double) } };
    await expect(loadTokenizer(await tokenizerWith('grows', twelve))).rejects.toMatchObject({ code: 'damaged' });
    const three = { normalizer: { type: 'Sequence', normalizers: Array(3).fill(double) } };
    expect((await loadTokenizer(await tokenizerWith('grows-little', three))).encode('a')).toEqual(Array(8).fill(1));
  });

  it('is refused when it puts thousands of tokens around every text', async () => {
    const single = Array(5000).fill({ Sequence: { id: 'A', type_id: 0 } });
    const processor = { post_processor: { type: 'TemplateProcessing', single, pair: [], special_tokens: {} } };
    await expect(loadTokenizer(await tokenizerWith('around', processor))).rejects.toMatchObject({ code: 'damaged' });
  });
});

describe('a template made to exhaust the machine', () => {
  const loops = (inside: string) => `${'{% for i in range(9999) %}'.repeat(3)}${inside}${'{% endfor %}'.repeat(3)}`;
  it.each([
    ['loops without end', loops('')],
    [
      'a value that doubles',
      '{% set n = namespace(x="ab") %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}',
    ],
    [
      'a list that doubles',
      '{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}',
    ],
    [
      'a small list that is long when it is written',
      '{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}',
    ],
    ['a replacement in a replacement', '{{ a.replace("", a).replace("", a).replace("", a) }}'],
    ['an indent of gigabytes', '{{ a | indent(1000000000) }}'],
    ['recursion', '{% macro f() %}{% set x = f %}{{ x() }}{{ f() }}{% endmacro %}{{ f() }}'],
    ['a long range', '{{ range(10 ** 9) | length }}'],
  ])('is stopped: %s', async (_, template) => {
    const before = process.memoryUsage.rss();
    const rendered = compileTemplate(template).then((render) => render({ a: 'x'.repeat(20_000) }));
    await expect(rendered).rejects.toMatchObject({ name: 'TritsmithError', code: 'bad-input' });
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 1024 ** 2);
  });

  it('does no harm to the next one, nor to others that are asked for at the same time', async () => {
    const endless = await compileTemplate(loops('{{ a }}'));
    const upper = await compileTemplate('{% if a %}{{ a | upper }}{% endif %}');
    const all = await Promise.allSettled([upper({ a: 'yes' }), endless({ a: '' }), upper({ a: 'no' })]);
    expect(all).toMatchObject([{ value: 'YES' }, { status: 'rejected' }, { value: 'NO' }]);
  });
});
