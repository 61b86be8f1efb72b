/** What a parser under fuzzing gives: valid inputs to damage, and a way to feed it. */

/** A valid input: a folder of files, of which one is damaged. */
export interface Sample {
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  readonly damaged: string;
  /** How it is damaged: as bytes, as a JSON document, or as text of words; the last two also as bytes. */
  readonly as: 'bytes' | 'json' | 'text';
  /** Bytes at the beginning that are hit most; default: all. */
  readonly focus?: number;
  /** Words to put into text or JSON. */
  readonly words?: readonly string[];
}

export interface FuzzTarget {
  readonly name: string;
  /** Of the usual number of inputs, for a reader that damaged files keep busy until its limit of time; default: 1. */
  readonly share?: number;
  samples(): Promise<readonly Sample[]> | readonly Sample[];
  /**
   * Feeds one input, all of it: opens, reads, iterates. Accepts it, or throws a TritsmithError; anything else is a failure. May open
   * files in `folder` only.
   */
  consume(folder: string, damagedFile: string): Promise<void> | void;
}
