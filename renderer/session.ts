/**
 * What lets this page talk to the loopback server: the one-time token of the link is exchanged for a session, which this origin alone keeps.
 * Imported first, so that the token is out of the address before anything else reads it.
 */
const markerKey = 'tritsmith-session';
const found = new URLSearchParams(location.hash.slice(1)).get('token');
let token = found;
if (found !== null) history.replaceState(null, '', location.pathname + location.search);
// Where storage is denied, the session lives as long as the page.
let kept: string | null = null;

function read(): string | null {
  try {
    return localStorage.getItem(markerKey) ?? kept;
  } catch {
    return kept;
  }
}

function keep(session: string): void {
  kept = session;
  try {
    localStorage.setItem(markerKey, session);
  } catch {
    // `kept` has it.
  }
}

/** The session of this page; null when the workbench knows neither link nor session. Throws when the workbench can't be reached. */
export async function openSession(): Promise<string | null> {
  const body = JSON.stringify({ token: token ?? undefined, session: read() ?? undefined });
  const response = await fetch('/session', { method: 'POST', body });
  if (!response.ok) return null;
  token = null;
  const { session } = (await response.json()) as { session: string };
  keep(session);
  return session;
}

/** Headers of a request to the workbench. */
export function sessionHeaders(): Record<string, string> {
  return { Authorization: `Bearer ${read() ?? ''}` };
}
