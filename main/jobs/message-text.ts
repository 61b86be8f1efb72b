/**
 * Messages between workbench and worker as text. JSON, because the two may run on different V8s (Electron's and the pinned Node's), whose
 * structured clones need not be readable for each other; with NaN and the infinities, because a loss that diverged is a finding.
 */
const markerKey = '\u0000number';

/** Any JSON value whose numbers may be non-finite. */
export function toMessageText(message: unknown): string {
  return JSON.stringify(message, (_key, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? { [markerKey]: String(value) } : value,
  );
}

/** The value that `toMessageText` was given. Throws SyntaxError for other text. */
export function fromMessageText(text: unknown): unknown {
  return JSON.parse(String(text), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && markerKey in value ? Number(value[markerKey]) : value,
  );
}
