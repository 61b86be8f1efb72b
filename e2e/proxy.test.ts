/** Behind a company's proxy: the Hub has a name that the proxy alone knows, and the person sets the proxy in the page. */
import { once } from 'node:events';
import { createServer, request as ask, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HubServer, startHubServer } from '../main/hub/fixtures/hub-server.ts';
import { findViolations, overflow } from './accessibility.ts';
import { root, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'HF_TOKEN'];
let hub: HubServer;
let proxy: Server;
/** What the proxy was asked for. */
const asked: string[] = [];
const portOf = (server: Server): number => (server.address() as AddressInfo).port;
beforeAll(async () => {
  const folder = join(root, 'resources', 'demo', 'teacher');
  hub = await startHubServer([{ id: 'acme/tiny-qwen3', folder, family: 'qwen3', parameters: { BF16: 984_000 } }]);
  const there = Number(new URL(hub.endpoint).port);
  proxy = createServer((request, response) => {
    asked.push(request.url ?? '');
    const { pathname, search } = new URL(request.url ?? '/', 'http://hub.example');
    const path = `${pathname}${search}`;
    ask({ host: '127.0.0.1', port: there, path, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    }).end();
  });
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    const target = connect(there, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.pipe(target).pipe(socket);
    });
    for (const end of [socket, target]) end.on('error', () => undefined);
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  // Inherited by the workbench that the scene starts.
  for (const name of names) process.env[name] = '';
  process.env['HF_ENDPOINT'] = 'http://hub.example';
});
const scene = openScene();
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await hub.close();
});
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });

describeInBrowser("behind a company's proxy", () => {
  it('the page asks for it where the Hub cannot be reached, and answers SOCKS in words', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await button('Search the Hub').click();
    await button('Search').last().click();
    await page.getByText('None is in use.', { exact: false }).waitFor();
    const field = page.getByLabel('Proxy for downloads');
    await field.fill('socks5://me:secret@proxy.example:1080');
    await button('Use it').click();
    await page.getByText('names a proxy of the kind "socks5", which cannot be used.', { exact: false }).waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await findViolations(page)).toEqual([]);
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      await screenshot(page, `proxy-refused-${colorScheme}`);
    }
    expect(asked).toEqual([]);
  });

  it('what is set there is used at once, by the next workbench too, and can be given up', async () => {
    const { page } = scene;
    const address = `http://127.0.0.1:${String(portOf(proxy))}`;
    await page.getByLabel('Proxy for downloads').fill(address);
    await button('Use it').click();
    await page.getByTestId('hub-results').locator('tbody tr').first().waitFor();
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.every((url) => url.includes('hub.example'))).toBe(true);
    expect(JSON.parse(readFileSync(join(scene.workspace, 'settings.json'), 'utf8'))).toMatchObject({ proxy: address });

    await scene.reopen('stop');
    await scene.page.getByRole('link', { name: 'This machine' }).first().click();
    await scene.page.getByText(`${new URL(address).host} is in use, as set here.`, { exact: false }).waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await scene.page.emulateMedia({ colorScheme });
      expect(await findViolations(scene.page)).toEqual([]);
      await screenshot(scene.page, `proxy-set-${colorScheme}`);
    }
    await button('Forget it').click();
    await scene.page.getByText('None is in use.', { exact: false }).waitFor();
    expect(await scene.page.getByLabel('Proxy for downloads').inputValue()).toBe('');
  });
});
