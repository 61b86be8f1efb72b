import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { pretrainedModels } from './real/readme.ts';
import { markdownTable } from './results-page.ts';

const text = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

describe('the table of pretrained models', () => {
  const table = pretrainedModels(text('docs/results.md'));

  it('has a line for each section that the benchmark wrote, none of them with a hole', () => {
    const written = text('docs/results.md').match(/^<!-- written by: npm run bench -- real /gm) ?? [];
    expect(written.length).toBeGreaterThan(3);
    expect(table).toHaveLength(written.length + 1);
    for (const line of table.slice(1)) {
      expect(line).toHaveLength(table[0]!.length);
      for (const cell of line.slice(2, 6)) expect(cell).toMatch(/^\d+\.\d ± \d+\.\d/);
      expect(line.at(-1)).toMatch(/^\d.* [MG]B → \d.* [MG]B$/);
    }
  });

  it('is the one of the README', () => {
    expect(text('README.md')).toContain(markdownTable(table));
  });
});
