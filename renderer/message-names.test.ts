import { expect, it } from 'vitest';
import { TritsmithError } from '../main/contract/errors.ts';
import { commandOf } from './exports/commands.ts';
import { inWordsOfThePage, nameCommand, reasonOfVerdict } from './message-names.ts';

it('an error names settings as the fields of the page are labelled, and is otherwise as it was told', () => {
  const error = new TritsmithError('worker-died', 'worker.died', { signal: 'SIGKILL', code: null, onward: 'resume' });
  const told = JSON.parse(JSON.stringify(error.serialise())) as ReturnType<typeof error.serialise>;
  expect(told.remedy).toContain('lower optimiser.microBatchTokens or switch recomputeActivations on');
  const shown = inWordsOfThePage(told);
  expect(shown.remedy).toContain('lower “Tokens at once” or switch “Recompute activations” on');
  expect(shown).toMatchObject({ code: 'worker-died', message: error.message, cause: error.reason });
});

it('an action is what the page offers for it', () => {
  const error = new TritsmithError('not-granted', 'path.not-granted', { path: '/etc/passwd' });
  expect(inWordsOfThePage(error.serialise()).remedy).toBe('Choose it with “Browse…”, or drop it on its field.');
});

it('what can only be done in a terminal is said with the command as it lies there', () => {
  const error = new TritsmithError('unsupported', 'llama-cpp.does-not-start', { problem: 'No.' });
  const remedy = (): string => inWordsOfThePage(error.serialise()).remedy ?? '';
  nameCommand(commandOf('/opt/Größe & Maß/tritsmith', false));
  expect(remedy()).toContain("un “'/opt/Größe & Maß/tritsmith' components remove llama.cpp” in a terminal");
  nameCommand(commandOf(null, false));
  expect(remedy()).toContain('un “npm run tritsmith -- components remove llama.cpp” in a terminal');
});

it('what came without an id, or with one of another version, is shown as it was written', () => {
  const old = { message: 'It broke.', cause: 'Age.', remedy: 'Mend it.' };
  expect(inWordsOfThePage(old)).toEqual(old);
  expect(inWordsOfThePage({ ...old, id: 'of.another-version' })).toMatchObject(old);
  expect(reasonOfVerdict({ reason: 'It is too old.' })).toBe('It is too old.');
  expect(reasonOfVerdict({ reason: '', id: 'verdict.only-i2s' })).toContain('I2_S');
});
