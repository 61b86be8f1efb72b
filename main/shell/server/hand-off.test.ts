import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { handOff } from './hand-off.ts';

it('keeps the link out of the address that a browser is started with, in a file for its user alone', () => {
  const link = 'http://127.0.0.1:4711/#token=abc-123';
  const { address, end } = handOff(link, null);
  expect(address).toMatch(/^file:\/\/\/.*open\.html$/);
  expect(address).not.toContain('abc-123');
  const file = fileURLToPath(address);
  expect(readFileSync(file, 'utf8')).toContain(`content="0;url=${link}"`);
  if (process.platform !== 'win32') {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
  }
  end();
  expect(existsSync(dirname(file))).toBe(false);
});
