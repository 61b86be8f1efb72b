import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { forkPort } from '../../jobs/fork-port.ts';
import { installComponent } from './components.ts';

const helper = fileURLToPath(new URL('../../jobs/helper-worker.ts', import.meta.url));

it('npm goes through the proxy that was set in the window, whatever the environment says', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tritsmith-components-'));
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(404).end('{}');
  });
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    vi.unstubAllEnvs();
    proxy.closeAllConnections();
    proxy.close();
    rmSync(folder, { recursive: true, force: true });
  });
  vi.stubEnv('TRITSMITH_COMPONENTS', join(folder, 'components'));
  vi.stubEnv('HTTP_PROXY', 'http://127.0.0.1:9');
  vi.stubEnv('HTTPS_PROXY', 'http://127.0.0.1:9');
  // Known to the proxy alone.
  vi.stubEnv('npm_config_registry', 'http://registry.example/');
  vi.stubEnv('npm_config_fetch_retries', '0');
  vi.stubEnv('npm_config_cache', join(folder, 'cache'));
  const address = `http://127.0.0.1:${String((proxy.address() as AddressInfo).port)}`;
  const install = async (): Promise<void> => {
    for await (const { name } of installComponent(forkPort(helper), 'webgpu', undefined, address))
      expect(name).toBe('webgpu');
  };
  await expect(install()).rejects.toMatchObject({ code: 'not-found' });
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.filter((url) => !url.includes('registry.example'))).toEqual([]);
});
