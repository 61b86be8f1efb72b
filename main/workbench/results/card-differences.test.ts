import { describe, expect, it } from 'vitest';
import type { DifferencesAnswer } from '../../contract/result-queries.ts';
import { differenceBlocks } from './card-differences.ts';

const found: DifferencesAnswer = {
  labels: ['refund', 'repair'],
  confusion: [
    {
      model: 'teacher',
      counts: [
        [9, 1],
        [0, 10],
      ],
      macroF1: 0.95,
    },
    {
      model: 'bitdistill',
      counts: [
        [7, 3],
        [1, 9],
      ],
      macroF1: 0.8,
    },
  ],
  rows: 20,
  differing: 3,
  firstBetter: 2,
  secondBetter: 1,
  examples: [
    {
      row: 4,
      prompt: 'Money | back,\n\n`please` <b>',
      gold: 'refund',
      first: 'refund',
      second: 'repair',
      firstScore: 1,
      secondScore: 0,
    },
  ],
};

describe('a model card on single rows', () => {
  it('counts who is right alone, quotes rows so that nothing in them is markup, and shows the matrix of the student', () => {
    expect(differenceBlocks(found)).toEqual([
      '## Where teacher and student differ',
      'Teacher and student answer 3 of 20 held-out rows differently: only the teacher is right on 2, only the student on 1.',
      expect.stringMatching(/^The first 1 of them, .*think of that before you pass this report on\.$/),
      [
        '| Row | Text as the model sees it | Right answer | Teacher | Student |',
        '| --- | --- | --- | --- | --- |',
        '| 4 | `Money \\| back, ˋpleaseˋ <b>` | `refund` | `refund` (right) | `repair` (wrong) |',
      ].join('\n'),
      '## Which class is taken for which',
      expect.stringContaining('80.0 %'),
      ['|  | `refund` | `repair` |', '| --- | --- | --- |', '| `refund` | 7 | 3 |', '| `repair` | 1 | 9 |'].join('\n'),
    ]);
  });

  it('lists the most frequent mistakes where a matrix would be too wide', () => {
    const labels = Array.from({ length: 30 }, (_, index) => `label-${String(index)}`);
    const counts = labels.map((_, gold) => labels.map((__, answered): number => (gold === answered ? 5 : 0)));
    counts[3]![7] = 2;
    counts[8]![1] = 4;
    const blocks = differenceBlocks({ ...found, labels, confusion: [{ model: 'bitdistill', counts, macroF1: 0.9 }] });
    expect(blocks.at(-1)).toBe(
      [
        '| Right answer | It answered | Rows |',
        '| --- | --- | --- |',
        '| `label-8` | `label-1` | 4 |',
        '| `label-3` | `label-7` | 2 |',
      ].join('\n'),
    );
  });

  it('has scores instead of classes for written answers, and says why where rows are gone', () => {
    const written = { ...found, labels: [], confusion: [] };
    const blocks = differenceBlocks({ ...written, examples: [{ ...found.examples[0]!, firstScore: 0.5, second: '' }] });
    expect(blocks).toHaveLength(4);
    expect(blocks[3]).toContain('`refund` (ROUGE-L 50.0 %) | (nothing) (ROUGE-L 0.0 %) |');
    expect(differenceBlocks({ missing: 'The file is gone.' })).toEqual([
      '## Where teacher and student differ',
      'The rows could not be read again: The file is gone.',
    ]);
  });
});
