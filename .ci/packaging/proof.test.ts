/**
 * The archive of this machine, put together from what is built and installed here, used where there is nothing else. `npm run package:test` does the same with the
 * released one, whose addon needs zig, and some of whose licences come in wheels from the Python package index; here the addon is the compiled one, and those are left out.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildPageWhenDue } from '../../main/shell/server/page-build.ts';
import { addonPath } from '../../native/addon.ts';
import { root } from '../node.mjs';
import { licenceTexts } from './licences.ts';
import { layOut } from './package.ts';
import { glibcFloor, newestGlibc, prove, withoutTerms } from './proof.ts';
import { targetNamed } from './targets.ts';

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('the archive of linux-x64', () => {
  it('opens its workbench, trains, exports, verifies and answers with nothing beside it', async ({ annotate }) => {
    buildPageWhenDue(() => undefined);
    let said = '';
    const passed = await prove(
      async (folder) => {
        const target = targetNamed('linux-x64');
        const licences = await licenceTexts(target, root, false);
        const laid = layOut(target, folder, { addon: addonPath(), installed: root, licences });
        expect(withoutTerms(laid)).toEqual(['onnxruntime-node']);
        // Our own is compiled for the machine that it was compiled on.
        for (const part of ['bin', 'node_modules'])
          expect(newestGlibc(join(laid, 'engine', part)).minor).toBeLessThanOrEqual(glibcFloor);
      },
      (text) => (said += text),
    );
    const [notShown] = /^NOT SHOWN HERE.*$/m.exec(said) ?? [];
    if (notShown !== undefined) await annotate(notShown);
    expect(passed, said).toBe(true);

    const shown = [
      'the workbench starts; its page, script, session and connection are served',
      'SIGTERM ends it in order',
      'the command line answers, and says what this machine can do',
      'a shortened demo trained and measured',
      'the exported file: proven',
      'the student answers: ',
    ];
    for (const line of shown) expect(said).toContain(line);
    if (notShown?.includes('fresh root') === true) return;
    expect(said).toMatch(/the archive lies in ".*Größe & Maß.*", and cannot be written to \(EROFS\)/);
    expect(said).toContain('no HOME, no network (ENETUNREACH)');
    expect(said).toContain('where no workspace can be made, it says to name one');
    expect(said).toContain('without a network it says: ');
    // Only root may be several users.
    if (notShown === undefined)
      expect(new Set([...said.matchAll(/user (\d+), .*: the workbench starts/g)].map(([, user]) => user)).size).toBe(2);
  });
});
