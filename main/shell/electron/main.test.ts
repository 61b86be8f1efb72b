/** Where Electron begins, when something goes wrong there. Its binary cannot be had in tests, so a stand-in is imported under its name. */
import type { EventEmitter } from 'node:events';
import { expect, it, vi } from 'vitest';
import { electronStandIn } from './fixtures/electron-stand-in.ts';

it('a mistake before there is a window ends it with a code that the launcher takes for a breakdown', async () => {
  const { electron, told } = electronStandIn({ appPath: '/nowhere', appData: '/nowhere' });
  Object.assign(electron.app, {
    getPath: () => {
      throw new Error('no folder for this user');
    },
  });
  vi.doMock('electron', () => electron);
  const said: string[] = [];
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const umask = process.umask();
  const emitter: EventEmitter = process;
  const names = ['uncaughtException', 'unhandledRejection'];
  const before = new Set(names.flatMap((name) => emitter.listeners(name)));
  try {
    await import('./main.ts');
  } finally {
    stderr.mockRestore();
    process.umask(umask);
    for (const name of names)
      for (const listener of emitter.listeners(name))
        if (!before.has(listener)) emitter.off(name, listener as () => void);
  }
  expect(told.exits).toEqual([70]);
  expect(told.errors).toEqual([]);
  expect(said.join('')).toContain('no folder for this user');
});
