/** The bridge, nothing else: hands the page's message port to the main process, and tells the path of a dropped file. */
import { contextBridge, ipcRenderer, webUtils } from 'electron';

interface PageWindow {
  addEventListener(type: 'message', listener: (event: PageMessage) => void): void;
}
interface PageMessage {
  readonly source: unknown;
  readonly data: unknown;
  readonly ports: readonly object[];
}

const page = globalThis as unknown as PageWindow;
page.addEventListener('message', (event) => {
  const [port] = event.ports;
  if (event.source === page && event.data === 'tritsmith:connect' && port !== undefined)
    ipcRenderer.postMessage('tritsmith:connect', null, [port as never]);
});

contextBridge.exposeInMainWorld('tritsmith', {
  // The main process hears of the file from here, so that the page can't make up what was dropped.
  pathOfFile: (file: unknown) =>
    ipcRenderer.invoke('tritsmith:dropped', webUtils.getPathForFile(file as never)) as Promise<string | null>,
  chooseFolder: () => ipcRenderer.invoke('tritsmith:choose', 'folder') as Promise<string | null>,
  chooseFile: () => ipcRenderer.invoke('tritsmith:choose', 'file') as Promise<string | null>,
});
