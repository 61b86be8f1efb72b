/** `tritsmith teacher download` as a process of its own, against a Hub on this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type HubServer, startHubServer } from '../../hub/fixtures/hub-server.ts';

const script = fileURLToPath(new URL('./main.ts', import.meta.url));
const teacher = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));
const weights = 'model.safetensors';
let server: HubServer;
let folder: string;
const target = (): string => join(folder, 'teachers', 'acme--tiny-qwen3');
const growing = (): string => join(`${target()}.incomplete`, `${weights}.incomplete`);

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; out: string; err: string }>;
}
function run(...args: string[]): Run {
  const child = spawn(process.execPath, [script, 'teacher', ...args, '--workspace', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HF_ENDPOINT: server.endpoint },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  return {
    child,
    ended: new Promise((resolve) =>
      child.once('close', (code) => {
        resolve({ code, out, err });
      }),
    ),
  };
}
async function grown(bytes: number): Promise<void> {
  await expect
    .poll(() => (existsSync(growing()) ? statSync(growing()).size : 0), { interval: 20 })
    .toBeGreaterThan(bytes);
}

beforeAll(async () => {
  server = await startHubServer([
    { id: 'acme/tiny-qwen3', folder: teacher, family: 'qwen3', parameters: { BF16: 984_000 }, tags: ['license:mit'] },
  ]);
});
afterAll(async () => {
  await server.close();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-download-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const key of Object.keys(server.faults)) Reflect.deleteProperty(server.faults, key);
  server.requests.length = 0;
});

describe('tritsmith teacher download', () => {
  it('tells with --show what a model is and would need, and fetches no weights', async () => {
    const { code, out } = await run('download', 'acme/tiny-qwen3', '--show').ended;
    expect(code).toBe(0);
    expect(out).toMatch(/Licence\s+mit/);
    expect(out).toMatch(/Family\s+Qwen3/);
    expect(out).toMatch(/Student\s+body 198 kB, whole file about 649 kB/);
    expect(server.requests.filter(({ path }) => path.includes('safetensors'))).toEqual([]);
  });

  it('goes on after SIGKILL from the bytes that are there, and adds the teacher', async () => {
    server.faults.bytesPerSecond = 100_000;
    const first = run('download', 'acme/tiny-qwen3');
    await grown(100_000);
    first.child.kill('SIGKILL');
    await first.ended;
    const there = statSync(growing()).size;
    expect(existsSync(target())).toBe(false);
    delete server.faults.bytesPerSecond;
    server.requests.length = 0;
    const second = await run('download', 'acme/tiny-qwen3').ended;
    expect(second).toMatchObject({ code: 0 });
    expect(second.err).toContain('Going on:');
    const fetched = server.requests.filter(({ host, path }) => host === 'cdn' && path.includes(weights));
    expect(fetched.map(({ range }) => range)).toEqual([`bytes=${String(there)}-`]);
    expect(readFileSync(join(target(), weights)).equals(readFileSync(join(teacher, weights)))).toBe(true);
    expect(readdirSync(join(folder, 'teachers'))).toEqual(['acme--tiny-qwen3']);
    const list = await run('list', '--json').ended;
    expect(JSON.parse(list.out)).toMatchObject([
      { name: 'acme/tiny-qwen3', card: { folder: target(), supported: true } },
    ]);
  });

  it('keeps what is there on Ctrl-C, and nothing after --discard', async () => {
    server.faults.bytesPerSecond = 50_000;
    const first = run('download', 'acme/tiny-qwen3');
    await grown(50_000);
    first.child.kill('SIGINT');
    expect(await first.ended).toMatchObject({ code: 4 });
    expect(statSync(growing()).size).toBeGreaterThan(50_000);
    expect(await run('download', 'acme/tiny-qwen3', '--discard').ended).toMatchObject({ code: 0 });
    expect(readdirSync(join(folder, 'teachers'))).toEqual([]);
  });

  it('says in a sentence that the Hub cannot be reached, and refuses what is no name', async () => {
    server.faults.status = { code: 503 };
    const down = await run('download', 'acme/tiny-qwen3').ended;
    expect(down.code).toBe(1);
    expect(down.err).toContain('Everything that is on this machine works without it.');
    const odd = await run('download', '../../etc').ended;
    expect(odd.code).toBe(2);
    expect(odd.err).toContain('owner/name');
  });
});
