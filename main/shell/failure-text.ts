import { TritsmithError } from '../contract/errors.ts';

/** Why a workbench does not start, as its terminal shows it: what happened, why, what to do. Only of a mistake of ours the details, too. */
export function failureText(thrown: unknown): string {
  const { code, message, reason, remedy, details } = TritsmithError.from(thrown);
  const parts = [message, reason, remedy, ...(code === 'internal' ? [details] : [])];
  return `${parts.filter((part) => part !== undefined).join('\n')}\n`;
}
