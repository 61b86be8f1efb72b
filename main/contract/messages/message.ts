/** Messages as ids with parameters, and how each surface turns them into sentences. */
import { en } from './en.ts';
import { type Names, plainNames } from './names.ts';
import type { Sentences } from './sentences.ts';

/** A language: every id with the function that says it. A second language is a second `Catalogue`. */
export type Catalogue = typeof en;
export type MessageId = keyof Catalogue;
/** What an id takes, from its function in the catalogue; `undefined` where it takes nothing. */
export type MessageParams<Id extends MessageId> =
  Parameters<Catalogue[Id]> extends [infer First, ...unknown[]] ? First : undefined;

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

/** The sentences of a message, in the words of a surface. `names`: what that surface calls settings and actions. */
export function render({ id, params }: Message, names: Names = plainNames): Sentences {
  return (en[id] as (params: unknown, names: Names) => Sentences)(params, names);
}

/** What crossed a process border or lay in a database: an id, and the text that was written when it was said. */
export interface Spoken {
  readonly id?: string | undefined;
  readonly params?: unknown;
}

/** The sentences of what was said elsewhere; null where it was said without an id, or by a version with other messages. */
export function renderSpoken({ id, params }: Spoken, names: Names): Sentences | null {
  if (id === undefined || !isMessageId(id)) return null;
  try {
    const sentences = render({ id, params }, names);
    // A parameter that the version which wrote it called otherwise.
    return Object.values(sentences).some((text) => /\bundefined\b/.test(String(text ?? ''))) ? null : sentences;
  } catch {
    return null;
  }
}
