/**
 * What a teacher gives of each row, in files: asked once, it need not run again in each pass over the rows, nor stay in memory. A note beside the files
 * says how many rows are there, so that a session that was ended goes on.
 */
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { fileSha256 } from '../basics/file-digest.ts';
import { readJsonIfWhole } from '../basics/json-file.ts';
import { type ModelConfiguration, stateWidths } from '../models/configuration.ts';
import type { AttentionStates } from '../models/network.ts';
import { HiddenFile } from './hidden-file.ts';
import { packTokens, topOf, topWords, unpackTokens } from './top-tokens.ts';
import type { MicroBatch, Taught } from './training-step.ts';

/** Values of a token, by file. */
type Widths = Readonly<Record<string, number>>;
const states = ['q', 'k', 'v'] as const;

/** What is kept of each token. */
export interface Kept {
  /** The last hidden state. */
  readonly hidden: boolean;
  /** Queries, keys and values of a layer. */
  readonly relation: boolean;
  /** So many likeliest tokens, and the sum of the others; null: none. */
  readonly top: number | null;
}

function widthsOf(teacher: ModelConfiguration, { hidden, relation, top }: Kept): Widths {
  return {
    ...(hidden ? { hidden: teacher.hiddenSize } : {}),
    ...(relation ? stateWidths(teacher) : {}),
    ...(top === null ? {} : { top: topWords(topOf(top, teacher), teacher.vocabSize) }),
  };
}

/** Bytes that a token takes in the files. */
export function taughtTokenBytes(teacher: ModelConfiguration, kept: Kept): number {
  const widths = Object.values(widthsOf(teacher, kept));
  return Float32Array.BYTES_PER_ELEMENT * widths.reduce((sum, width) => sum + width, 0);
}

const noteShape = z.object({
  key: z.string(),
  /** The first so many rows are there. */
  rows: z.int().min(0),
  /** SHA-256 of each file, once all rows are there. */
  sha256: z.record(z.string(), z.string()).optional(),
});

export interface TaughtRowsOf {
  readonly folder: string;
  /** Digest of what decides the values. */
  readonly key: string;
  readonly teacher: ModelConfiguration;
  readonly kept: Kept;
  /** Tokens of each row. */
  readonly lengths: Int32Array;
}

export class TaughtRows {
  readonly #of: TaughtRowsOf;
  readonly #files: ReadonlyMap<string, HiddenFile>;
  #rows: number;

  private constructor(of: TaughtRowsOf, files: ReadonlyMap<string, HiddenFile>, rows: number) {
    this.#of = of;
    this.#files = files;
    this.#rows = rows;
  }

  /**
   * The files of an earlier session as far as it came, where they are of the same key and, when they were finished, undamaged; else empty ones.
   * @throws TritsmithError `no-space`, `not-writable`
   */
  static async open(of: TaughtRowsOf): Promise<TaughtRows> {
    const rows = await earlierRows(of);
    if (rows === 0) {
      await rm(of.folder, { recursive: true, force: true });
      await mkdir(of.folder, { recursive: true });
    }
    const files = new Map<string, HiddenFile>();
    try {
      for (const [name, width] of Object.entries(widthsOf(of.teacher, of.kept)))
        files.set(name, await HiddenFile[rows === 0 ? 'create' : 'open'](filePath(of, name), width, of.lengths));
    } catch (thrown) {
      for (const file of files.values()) await file.close();
      throw thrown;
    }
    return new TaughtRows(of, files, rows);
  }

  /** The first so many rows are there. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Writes what the teacher gave of some rows.
   * @param given of each token of `[B, T]`, padded on the right
   */
  async write(rows: readonly number[], length: number, given: Taught): Promise<void> {
    for (const [name, file] of this.#files) {
      const values =
        name === 'hidden'
          ? given.hidden!
          : name === 'top'
            ? packTokens(given.top!, this.#of.teacher.vocabSize)
            : given.states![name as keyof AttentionStates];
      for (const [at, row] of rows.entries()) await file.write(row, values.subarray(at * length * file.width));
    }
  }

  /** Notes that the first `rows` rows are there, for good. @throws TritsmithError `no-space` */
  async keep(rows: number): Promise<void> {
    for (const file of this.#files.values()) await file.sync();
    const { key, lengths } = this.#of;
    const note: z.infer<typeof noteShape> = { key, rows };
    if (rows === lengths.length) {
      note.sha256 = {};
      for (const [name, { path }] of this.#files) note.sha256[name] = await fileSha256(path);
    }
    await writeFileAtomically(notePath(this.#of), JSON.stringify(note));
    this.#rows = rows;
  }

  /** What the teacher gave of a micro-batch's rows, padded with zeros. @throws TritsmithError `damaged` */
  async read({ rows, length }: MicroBatch): Promise<Taught> {
    if (rows === undefined) throw new Error('a micro-batch without row numbers has nothing to be looked up by');
    const found: Record<string, Float32Array> = {};
    for (const [name, file] of this.#files) found[name] = await file.readPadded(rows, length);
    const [q, k, v] = states.map((name) => found[name]);
    const { teacher, kept } = this.#of;
    const top = found.top && unpackTokens(found.top, topOf(kept.top!, teacher), teacher.vocabSize);
    return { hidden: found.hidden ?? null, states: q && k && v ? { q, k, v } : null, top: top ?? null };
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }
}

const filePath = ({ folder }: TaughtRowsOf, name: string): string =>
  join(folder, name === 'top' ? 'top.bin' : `${name}.f32`);
const notePath = ({ folder }: TaughtRowsOf): string => join(folder, 'rows.json');

async function earlierRows(of: TaughtRowsOf): Promise<number> {
  const note = readJsonIfWhole(notePath(of), noteShape);
  if (note?.key !== of.key) return 0;
  try {
    for (const name of Object.keys(widthsOf(of.teacher, of.kept))) await stat(filePath(of, name));
    for (const [name, sha256] of Object.entries(note.sha256 ?? {}))
      if ((await fileSha256(filePath(of, name))) !== sha256) return 0;
  } catch {
    // Missing or not to be read: whoever writes it anew will hear why, if that can't be done.
    return 0;
  }
  return note.rows;
}
