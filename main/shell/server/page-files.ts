/** The built interface, served from its folder and nowhere else. */
import { createReadStream, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
};

/** The type of a file of the page; undefined for what a page has not. */
export function contentType(path: string): string | undefined {
  return types[extname(path)];
}

/** No inline script, no other origin, no frames. `style-src` allows attributes, which positioned popovers need. */
function contentSecurityPolicy(connect: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self' ${connect}`.trim(),
    "base-uri 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Headers of every answer of the loopback server. */
export function securityHeaders(port: number): Record<string, string> {
  return pageHeaders(`ws://127.0.0.1:${String(port)} ws://localhost:${String(port)}`);
}

/** The same for every shell; `connect`: what the page may connect to beside its own origin. */
export function pageHeaders(connect: string): Record<string, string> {
  return {
    'Content-Security-Policy': contentSecurityPolicy(connect),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  };
}

/** Answers with a file of `folder`; paths without a file extension are pages of the interface and get index.html. */
export function sendPageFile(folder: string, path: string, response: ServerResponse): void {
  const name = extname(path) === '' ? 'index.html' : path;
  let file: string;
  try {
    file = normalize(join(folder, decodeURIComponent(name)));
  } catch {
    file = '';
  }
  const type = contentType(file);
  if (!file.startsWith(folder + sep) || type === undefined || !isFile(file)) {
    response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found.\n');
    return;
  }
  // Names under assets/ carry a hash of their content.
  const cached = path.startsWith('/assets/') ? 'private, max-age=31536000, immutable' : 'no-cache';
  response.writeHead(200, { 'Content-Type': type, 'Cache-Control': cached });
  // A file that a new build took away in the meantime ends this answer, not the workbench.
  createReadStream(file)
    .once('error', () => response.destroy())
    .pipe(response);
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
