/** Messages as ids with parameters, and how each surface turns them into sentences. */
import { en } from './en.ts';
import { type Names, plainNames } from './names.ts';
import { inOneText, type Say, type Sentences } from './sentences.ts';

export type MessageId = keyof typeof en;
/** What an id takes, from its function in the English catalogue; `undefined` where it takes nothing. */
export type MessageParams<Id extends MessageId> =
  Parameters<(typeof en)[Id]> extends [infer First, ...unknown[]] ? First : undefined;
/** A language: every id with the function that says it. A second language is a second `Catalogue`. */
export type Catalogue = {
  readonly [Id in MessageId]: (params: MessageParams<Id>, names: Names, say: Say) => Sentences;
};

/** A message on its way: JSON that any surface can render. */
export interface Message {
  readonly id: MessageId;
  readonly params?: unknown;
}

/** A message whose parameters are what its id takes. */
export function message<Id extends MessageId>(id: Id, ...[params]: ParamsOf<Id>): Message {
  return params === undefined ? { id } : { id, params };
}
export type ParamsOf<Id extends MessageId> =
  MessageParams<Id> extends undefined ? [params?: undefined] : [params: MessageParams<Id>];

export function isMessageId(id: string): id is MessageId {
  return Object.hasOwn(en, id);
}

/**
 * The sentences of a message, in the words of a surface. `names`: what that surface calls settings and actions. `catalogue`: its language;
 * what a language does not say yet is said in English.
 */
export function render(
  { id, params }: Message,
  names: Names = plainNames,
  catalogue: Partial<Catalogue> = en,
): Sentences {
  const say: Say = (finding) => {
    const sentences = renderSpoken(finding, names, catalogue);
    return sentences === null ? finding.text : inOneText(sentences);
  };
  const sentencesOf = catalogue[id] ?? en[id];
  // Each function takes the parameters of its own id, which the compiler cannot follow through a lookup.
  return (sentencesOf as (params: unknown, names: Names, say: Say) => Sentences)(params, names, say);
}

/** What crossed a process border or lay in a database: an id, and the text that was written when it was said. */
export interface Spoken {
  readonly id?: string | undefined;
  readonly params?: unknown;
}

/** The sentences of what was said elsewhere; null where it was said without an id, or by a version with other messages. */
export function renderSpoken(
  { id, params }: Spoken,
  names: Names,
  catalogue: Partial<Catalogue> = en,
): Sentences | null {
  if (id === undefined || !isMessageId(id)) return null;
  try {
    const sentences = render({ id, params }, names, catalogue);
    // A parameter that the version which wrote it called otherwise.
    return Object.values(sentences).some((text) => /\bundefined\b/.test(String(text ?? ''))) ? null : sentences;
  } catch {
    return null;
  }
}
