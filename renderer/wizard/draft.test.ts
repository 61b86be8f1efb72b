import { describe, expect, it } from 'vitest';
import { defaultPreset, presetInputs } from '../../main/contract/queries.ts';
import { fieldKind } from '../../main/contract/recipe-fields.ts';
import { emptyDraft, hasByteMoments, inputsOf, withByteMoments } from './draft.ts';

describe('a new draft', () => {
  it('starts from the preset that the command line starts from, the one that the texts recommend', () => {
    expect(defaultPreset).toBe('balanced');
    expect(emptyDraft().preset).toBe(defaultPreset);
  });

  it('has the optimiser’s moments in bytes in every stage, where that is chosen, and keeps other changes', () => {
    const draft = { ...emptyDraft(), changes: { 'distil.tau': 4 } };
    expect(hasByteMoments(draft)).toBe(false);
    const spared = withByteMoments(draft);
    expect(hasByteMoments(spared)).toBe(true);
    expect(spared.changes).toMatchObject({ 'distil.tau': 4, 'distil.optimiser.moments': '8-bit' });
    for (const path of Object.keys(spared.changes)) expect(() => fieldKind(path), path).not.toThrow();
  });

  it('tells the maker of recipes everything that was entered, and nothing that was not', () => {
    const draft = {
      ...emptyDraft(),
      teacher: '/models/base',
      train: '/data/rows.tsv',
      kind: 'generation' as const,
      textColumns: ['text'],
      labelColumn: 'answer',
      template: '{{ text }}',
      maxLength: 300,
      devFraction: 0.2,
      changes: { 'distil.tau': 4, 'distil.steps': null },
    };
    const inputs = inputsOf(draft);
    expect(presetInputs.parse(inputs)).toMatchObject(inputs);
    expect(inputs).toEqual({
      preset: 'balanced',
      teacher: '/models/base',
      task: {
        train: '/data/rows.tsv',
        kind: 'generation',
        textColumns: ['text'],
        labelColumn: 'answer',
        template: '{{ text }}',
        maxLength: 300,
        devFraction: 0.2,
        rules: 2,
      },
      changes: { 'distil.tau': 4, 'distil.steps': null },
    });
    const more = {
      dev: '/data/dev.tsv',
      corpus: '/data/corpus',
      moreRows: '/data/more.tsv',
      teacherWrites: 300,
      maxNewTokens: 50,
      name: ' Parcels ',
    };
    expect(inputsOf({ ...draft, ...more }, 'paper')).toMatchObject({
      preset: 'paper',
      name: 'Parcels',
      corpus: '/data/corpus',
      moreRows: '/data/more.tsv',
      teacherWrites: 300,
      task: { dev: '/data/dev.tsv', maxNewTokens: 50 },
    });
    const rows = { mergeLabels: true, unlabelled: [], groupColumn: 'customer' };
    expect(inputsOf({ ...draft, ...rows }).task).toMatchObject(rows);
    // A file of its own for evaluation leaves nothing to hold out.
    expect(inputsOf({ ...draft, ...rows, dev: '/data/dev.tsv' }).task.groupColumn).toBeUndefined();
  });
});
