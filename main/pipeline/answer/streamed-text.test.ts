import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type Tokenizer } from '../../formats/tokenizers/index.ts';
import { StreamedText } from './streamed-text.ts';

const folder = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(folder);
});

/** Pieces as they are told for the tokens of `text`, the last one at the end. */
function pieces(text: string, stop: string[] = [], prompt: number[] = []): { told: string[]; stopped: boolean } {
  const streamed = new StreamedText(tokenizer, stop, prompt);
  const told: string[] = [];
  for (const id of tokenizer.encode(text, { addSpecialTokens: false })) {
    told.push(streamed.push(id));
    if (streamed.stopped) break;
  }
  told.push(streamed.end());
  return { told, stopped: streamed.stopped };
}

describe('streamed text', () => {
  it.each(['A film to remember.', 'Größe: 12 €, 映画 🎬 — done', '🎬'])('put together is the text: %s', (text) => {
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    const { told } = pieces(text);
    expect(told.join('')).toBe(tokenizer.decode(ids));
    expect(told.join('')).not.toContain('\u{fffd}');
  });

  it('tells a character of several tokens when it is whole', () => {
    const { told } = pieces('🎬');
    expect(told.length).toBeGreaterThan(2);
    expect(told.filter((piece) => piece !== '')).toEqual(['🎬']);
  });

  it('tells at the end what never became a character', () => {
    const streamed = new StreamedText(tokenizer);
    expect(streamed.push(tokenizer.encode('🎬', { addSpecialTokens: false })[0]!)).toBe('');
    expect(streamed.end()).toContain('\u{fffd}');
  });

  it('goes on after a prompt without repeating it', () => {
    const prompt = tokenizer.encode('The film was');
    expect(pieces(' good', [], prompt).told.join('')).toBe(' good');
  });

  it('keeps a stop text and its beginning back, and lets a false beginning go', () => {
    const stopped = pieces('one two three four', ['three']);
    expect(stopped).toMatchObject({ stopped: true });
    expect(stopped.told.join('')).toBe('one two ');
    const { told, stopped: ended } = pieces('one two thr', ['three']);
    expect([told.join(''), ended]).toEqual(['one two thr', false]);
    expect(pieces('a b c d', ['c', ' b']).told.join('')).toBe('a');
  });
});
