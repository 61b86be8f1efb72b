import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isOurAddress, isTrustedSender, mayRequest, mayUse, origin, pageFile } from './policy.ts';

const foreign = [
  'https://evil.example/',
  'http://127.0.0.1:8080/',
  'file:///etc/passwd',
  'about:blank',
  'data:text/html,<script>1</script>',
  'blob:null/1',
  'tritsmith://workbench.evil.example/',
  'tritsmith://evil@workbench/',
  'tritsmith://workbench:80/',
  'tritsmith-evil://workbench/',
  'tritsmith:workbench/',
  'javascript:alert(1)',
  '',
];

describe('a message to the main process', () => {
  it('is heard from the main frame of our own page', () => {
    expect(isTrustedSender({ parent: null, url: `${origin}/experiments/demo-1` })).toBe(true);
  });

  it('is not heard from any other page, from a frame within ours, or from one that is gone', () => {
    for (const url of foreign) expect(isTrustedSender({ parent: null, url }), url).toBe(false);
    expect(isTrustedSender({ parent: {}, url: `${origin}/` })).toBe(false);
    expect(isTrustedSender(null)).toBe(false);
  });
});

describe('the page', () => {
  it('goes nowhere else', () => {
    expect(isOurAddress(`${origin}/new`)).toBe(true);
    for (const url of foreign) expect(isOurAddress(url), url).toBe(false);
  });

  it('loads nothing but itself and what it made', () => {
    for (const url of [`${origin}/assets/index.js`, 'data:,', 'blob:tritsmith://workbench/1', 'devtools://devtools/x'])
      expect(mayRequest(url), url).toBe(true);
    for (const url of [
      'https://evil.example/',
      'http://127.0.0.1/',
      'ws://127.0.0.1/',
      'file:///etc/passwd',
      'ftp://x/',
    ])
      expect(mayRequest(url), url).toBe(false);
  });

  it('may notify and write the clipboard, and nothing more', () => {
    for (const permission of ['notifications', 'clipboard-sanitized-write']) {
      expect(mayUse(permission, `${origin}/`)).toBe(true);
      expect(mayUse(permission, 'https://evil.example/')).toBe(false);
    }
    for (const permission of ['media', 'geolocation', 'clipboard-read', 'openExternal', 'fileSystem', 'usb', 'unknown'])
      expect(mayUse(permission, `${origin}/`), permission).toBe(false);
  });

  it('is made of the files of its folder', () => {
    const folder = join('/', 'app', 'out', 'renderer');
    expect(pageFile(folder, `${origin}/`)).toBe(join(folder, 'index.html'));
    expect(pageFile(folder, `${origin}/experiments/demo-1`)).toBe(join(folder, 'index.html'));
    expect(pageFile(folder, `${origin}/assets/index-1a2b.js`)).toBe(join(folder, 'assets', 'index-1a2b.js'));
    for (const path of [
      '/..%2f..%2fpackage.json',
      '/%2e%2e/%2e%2e/main/main.js',
      '/assets/..%2f..%2f..%2fpackage.json',
      '/%00.js',
      '/%.js',
    ]) {
      const file = pageFile(folder, `${origin}${path}`);
      expect(file === null || file.startsWith(join(folder, '/')), `${path} -> ${String(file)}`).toBe(true);
    }
    expect(pageFile(folder, 'file:///etc/passwd.txt')).toBeNull();
  });
});
