/** The same workbench in Electron, for the specs: `TRITSMITH_TEST_SHELL=electron npx vitest run e2e`. */
import { _electron, type Page } from 'playwright-core';
import { electronBinary } from '../main/shell/electron/binary.ts';
import { listen, root } from './harness.ts';

export interface ElectronScene {
  readonly page: Page;
  readonly origin: string;
  readonly complaints: string[];
  end(how: 'stop' | 'kill'): Promise<void>;
}

/** Opens the built app on `workspace` and waits for its page. Chromium's own sandbox needs a user other than root. */
export async function openElectron(workspace: string): Promise<ElectronScene> {
  const executablePath = electronBinary();
  if (executablePath === null) throw new Error("Electron's binary is not here: npm start fetches it.");
  const app = await _electron.launch({
    executablePath,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), root, '--workspace', workspace],
    env: { ...process.env, TRITSMITH_NODE: process.execPath },
  });
  // The specs type paths: the question whether the page may read them is answered "Allow".
  await app.evaluate(({ dialog }) => {
    dialog.showMessageBox = () => Promise.resolve({ response: 1, checkboxChecked: false });
  });
  const page = await app.firstWindow();
  const complaints = listen(page);
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
  const child = app.process();
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    page,
    origin: 'tritsmith://workbench',
    complaints,
    end: async (how) => {
      child.kill(how === 'stop' ? 'SIGINT' : 'SIGKILL');
      await gone;
    },
  };
}
