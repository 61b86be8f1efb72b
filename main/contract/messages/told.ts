/** Findings on their way and at rest: warnings, notes and proofs, said with an id where the catalogue has one. */
import type { TritsmithError } from '../errors.ts';
import { message, type MessageId, type ParamsOf, render, renderSpoken } from './message.ts';
import { type Names, plainNames } from './names.ts';
import { inOneText, type Told } from './sentences.ts';

export type { Told };

/** A finding of the catalogue, with its text for logs and for versions with other messages. */
export function tell<Id extends MessageId>(id: Id, ...params: ParamsOf<Id>): Told {
  const said = message(id, ...params);
  return { ...said, text: inOneText(render(said)) };
}

/** An error as a finding. */
export function tellError(error: TritsmithError): Told {
  const { id, params, ...text } = error.serialise();
  return {
    ...(id === undefined ? {} : { id }),
    ...(params === undefined ? {} : { params }),
    text: inOneText({ message: text.message, reason: text.cause, remedy: text.remedy }),
  };
}

/** What a surface shows of a finding. */
export function wordsOf(finding: Told, names: Names = plainNames): string {
  const sentences = renderSpoken(finding, names);
  return sentences === null ? finding.text : inOneText(sentences);
}
