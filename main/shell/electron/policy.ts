/** What the window's page may do, as plain functions: whom we listen to, where it may go, which files it is made of. */
import { join, normalize, sep } from 'node:path';

export const scheme = 'tritsmith';
export const origin = `${scheme}://workbench`;

/** What Electron tells of the frame that sent a message. */
export interface SenderFrame {
  readonly parent: object | null;
  readonly url: string;
}

/** Only the main frame of our own page is heard; a frame that is gone by now is not. */
export function isTrustedSender(frame: SenderFrame | null): boolean {
  return frame !== null && frame.parent === null && isOurAddress(frame.url);
}

/** Addresses of the page itself; every other navigation, in any frame, is stopped. */
export function isOurAddress(url: string): boolean {
  const parsed = URL.parse(url);
  // An own scheme's origin is "null" for the URL class outside of Electron, so its parts are compared.
  return parsed !== null && parsed.protocol === `${scheme}:` && parsed.host === 'workbench' && parsed.username === '';
}

/** What the page may load: its own files, and what it made itself. */
export function mayRequest(url: string): boolean {
  return isOurAddress(url) || /^(data|blob|devtools):/.test(url);
}

/** What the page is given: telling that a run has ended, and writing (never reading) the clipboard for the buttons that copy. */
const permitted = new Set(['notifications', 'clipboard-sanitized-write']);

/** Whether a permission is given, and only to our own page. */
export function mayUse(permission: string, requester: string): boolean {
  return permitted.has(permission) && isOurAddress(requester);
}

/** The file of `folder` behind an address of the page: addresses without a file extension are its views. Null when there can be none. */
export function pageFile(folder: string, url: string): string | null {
  const parsed = URL.parse(url);
  if (parsed === null || !isOurAddress(url)) return null;
  if (!/\.\w+$/.test(parsed.pathname)) return join(folder, 'index.html');
  try {
    const path = normalize(join(folder, decodeURIComponent(parsed.pathname)));
    return path.startsWith(folder + sep) && !path.includes('\0') ? path : null;
  } catch {
    return null;
  }
}
