/** New rows from a language model: some training rows as examples, the beginning of another one, and what the model makes of it. */
import type { TeacherWrites } from '../../contract/recipe.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { Random } from '../../basics/random.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { streamAnswer } from '../answer/generate.ts';
import type { Batch } from '../answer/batch.ts';
import { StreamedText } from '../answer/streamed-text.ts';
import type { RowTexts } from '../task/task-texts.ts';

/** Tokens beyond the likeliest ones that reach this probability are never drawn: a model's rare mistakes would begin most rows. */
const topP = 0.95;
/** A row begins with between a tenth and a half of another row's text. */
const begun = { least: 0.1, most: 0.5 };
/** Tokens that a text may have besides twice those of the row that it begins as. */
const spareTokens = 16;

export interface RowWriterOf {
  readonly batch: Pick<Batch, 'generate'>;
  readonly tokenizer: Tokenizer;
  /** Tokens that the model can read. */
  readonly contextLength: number;
  readonly textColumns: readonly string[];
  /** Longest row in tokens. */
  readonly maxLength: number;
  readonly settings: TeacherWrites;
  readonly seed: number;
  /** Rows to go on from. */
  readonly rows: readonly RowTexts[];
}

const onOneLine = (text: string): string => text.replace(/\s+/gu, ' ').trim();

/** What was cut off somewhere, up to the end of a word where there are words. */
function wholeWords(beginning: string): string {
  const space = beginning.lastIndexOf(' ');
  return space > 0 ? beginning.slice(0, space) : beginning;
}

/** A share of a text, up to the end of a word where there are words. */
export function beginningOf(text: string, share: number): string {
  const characters = [...text];
  return wholeWords(characters.slice(0, Math.max(1, Math.round(share * characters.length))).join(''));
}

/** A row's texts, each on one line. Of a row of more than `maxLength` tokens each column keeps its beginning, in proportion to its length: training sees no more of a row either. */
export function shownTexts(
  row: RowTexts,
  { textColumns, tokenizer, maxLength }: Pick<RowWriterOf, 'textColumns' | 'tokenizer' | 'maxLength'>,
): RowTexts {
  const columns = textColumns.map((column) => {
    const text = onOneLine(row[column] ?? '');
    return { column, text, ids: tokenizer.encode(text) };
  });
  const tokens = columns.reduce((sum, { ids }) => sum + ids.length, 0);
  const cut = (text: string, ids: readonly number[]): string => {
    if (tokens <= maxLength || text === '') return text;
    const kept = ids.slice(0, Math.max(1, Math.floor((maxLength * ids.length) / tokens)));
    // Half of a character, where tokens are bytes.
    return wholeWords(tokenizer.decode(kept, { skipSpecialTokens: true }).replace(/\uFFFD+$/u, ''));
  };
  return Object.fromEntries(columns.map(({ column, text, ids }) => [column, cut(text, [...ids])]));
}

/**
 * The row of one attempt, which depends on nothing but its number, seed, rows and model; null where the model had nothing to add.
 * @returns null too where it was cancelled
 */
export async function writeRow(of: RowWriterOf, attempt: number, signal: AbortSignal): Promise<RowTexts | null> {
  const { batch, tokenizer, contextLength, textColumns, maxLength, settings, rows } = of;
  const random = new Random(parseInt(textSha256(JSON.stringify([of.seed, 'written', attempt])).slice(0, 8), 16));
  const draw = (): RowTexts => shownTexts(rows[random.below(rows.length)]!, of);
  const from = draw();
  const examples = Array.from({ length: settings.examples }, draw);
  const several = textColumns.length > 1;
  const named = (column: string, text: string): string =>
    several ? `${column}:${text === '' ? '' : ` ${text}`}` : text;
  const shown = (row: RowTexts): string =>
    textColumns
      .map((column) => [column, row[column]!] as const)
      .filter(([, text]) => text !== '')
      .map(([column, text]) => named(column, text))
      .join('\n');
  const written: Record<string, string> = Object.fromEntries(textColumns.map((column) => [column, '']));
  let before = '';
  for (const column of textColumns) {
    const text = from[column]!;
    if (text === '') continue;
    const share = begun.least + (begun.most - begun.least) * random.uniform();
    const beginning = before === '' ? beginningOf(text, share) : '';
    const most = Math.min(maxLength, Math.floor(contextLength / 2), 2 * tokenizer.encode(text).length + spareTokens);
    const seed = random.next();
    let ids: number[];
    const asked = [...examples];
    // Examples make room for the row itself.
    do ids = tokenizer.encode([...asked.map(shown), before + named(column, beginning)].join('\n\n'));
    while (ids.length > contextLength - most && asked.shift() !== undefined);
    let added = '';
    await streamAnswer(
      batch,
      tokenizer,
      Int32Array.from(ids.slice(-(contextLength - most))),
      { maxTokens: most, temperature: settings.temperature, topP, seed, signal },
      new StreamedText(tokenizer, ['\n'], ids),
      (piece) => (added += piece),
    );
    if (signal.aborted || onOneLine(added) === '') return null;
    written[column] = onOneLine(beginning + added);
    before += `${named(column, written[column])}\n`;
  }
  return before === '' ? null : written;
}
