import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TritsmithError } from '../contract/errors.ts';
import { hubModelId } from '../contract/hub.ts';
import { discardDownload, downloadModel, partialFolder, unfinishedDownloads } from './download.ts';
import { type HubServer, type ServedModel, startHubServer } from './fixtures/hub-server.ts';
import { mountSmallDisk, noSmallDisk } from '../testing/small-disk.ts';
import { HubClient } from './hub-client.ts';
import { describeModel, searchModels } from './hub-models.ts';

const teacher = fileURLToPath(new URL('../../resources/demo/teacher', import.meta.url));
const weights = 'model.safetensors';
const weightBytes = statSync(join(teacher, weights)).size;
const quick = { retryMilliseconds: 5 };

let folder: string;
let server: HubServer;
let client: HubClient;

const sharded = (): string => {
  const path = join(folder, 'sharded');
  mkdirSync(path);
  writeFileSync(join(path, 'config.json'), readFileSync(join(teacher, 'config.json')));
  writeFileSync(join(path, 'shard-1.safetensors'), 'one');
  writeFileSync(join(path, 'shard-2.safetensors'), 'two');
  const map = { weight_map: { a: 'shard-1.safetensors', b: 'shard-2.safetensors', c: 'shard-1.safetensors' } };
  writeFileSync(join(path, 'model.safetensors.index.json'), JSON.stringify(map));
  return path;
};
const hostile = (): string => {
  const path = join(folder, 'hostile');
  mkdirSync(path);
  writeFileSync(join(path, 'config.json'), '{}');
  const map = { weight_map: { a: '../../.profile.safetensors' } };
  writeFileSync(join(path, 'model.safetensors.index.json'), JSON.stringify(map));
  return path;
};
/** A repository of GGUF files: whole ones, a part of a split one, and a projector, which is no model. */
const ggufs = (): string => {
  const path = mkdtempSync(join(folder, 'gguf-'));
  const sizes = {
    'tiny-Q8_0': 100,
    'tiny-F16': 200,
    'tiny-Q4_K_M': 60,
    'tiny-BF16-00001-of-00002': 90,
    'mmproj-tiny': 5,
  };
  for (const [name, size] of Object.entries(sizes)) writeFileSync(join(path, `${name}.gguf`), Buffer.alloc(size, name));
  writeFileSync(join(path, 'README.md'), 'tiny');
  return path;
};

/** A folder with one small file. */
const lone = (model: string, name: string): string => {
  const path = join(folder, model);
  mkdirSync(path);
  writeFileSync(join(path, name), '{}');
  return path;
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-hub-'));
  const models: ServedModel[] = [
    {
      id: 'acme/tiny-qwen3',
      folder: teacher,
      family: 'qwen3',
      parameters: { BF16: 984_000 },
      downloads: 5,
      tags: ['license:mit'],
      extraNames: ['../evil.json', 'pytorch_model.bin', 'onnx/model.onnx'],
    },
    { id: 'acme/large-llama', folder: teacher, family: 'llama', parameters: { BF16: 8e9 }, downloads: 90 },
    { id: 'acme/llama-of-unknown-size', folder: teacher, family: 'llama', downloads: 70 },
    { id: 'acme/qwen3-gptq', folder: teacher, family: 'qwen3', parameters: { I32: 9e8, F16: 1e8 }, downloads: 99 },
    { id: 'acme/qwen3-0.6B-AWQ', folder: teacher, family: 'qwen3', downloads: 99 },
    { id: 'acme/gemma', folder: teacher, family: 'gemma2', parameters: { BF16: 1e9 } },
    { id: 'acme/secret', folder: teacher, family: 'qwen3', parameters: { BF16: 984_000 }, gated: true },
    { id: 'acme/sharded', folder: sharded(), family: 'qwen3' },
    {
      id: 'acme/tiny-fp8',
      folder: teacher,
      family: 'none',
      parameters: { F8_E4M3: 900_000, BF16: 80_000, I64: 3 },
      tags: ['base_model:acme/tiny-qwen3', 'base_model:quantized:acme/tiny-qwen3'],
    },
    {
      id: 'acme/adapter',
      folder: lone('adapter', 'adapter_config.json'),
      family: 'none',
      tags: ['base_model:adapter:acme/tiny-qwen3'],
    },
    {
      id: 'acme/pickled',
      folder: lone('pickled', 'config.json'),
      family: 'none',
      extraNames: ['pytorch_model-00001-of-00002.bin'],
    },
    { id: 'acme/hostile', folder: hostile(), family: 'qwen3' },
    {
      id: 'acme/tiny-GGUF',
      folder: ggufs(),
      family: 'other',
      downloads: 20,
      tags: ['license:apache-2.0'],
      gguf: { architecture: 'llama', total: 75_000, context_length: 128 },
    },
    {
      id: 'acme/rwkv-GGUF',
      folder: ggufs(),
      family: 'other',
      gguf: { architecture: 'rwkv7', total: 75_000, context_length: 128 },
    },
  ];
  server = await startHubServer(models);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  client = new HubClient({ endpoint: server.endpoint });
  server.requests.length = 0;
});
afterEach(() => {
  for (const key of Object.keys(server.faults)) Reflect.deleteProperty(server.faults, key);
});

const refused = async (work: Promise<unknown>): Promise<TritsmithError> =>
  work.then(
    () => {
      throw new Error('It went well.');
    },
    (thrown: unknown) => thrown as TritsmithError,
  );
const sizeAt = (path: string): number => (existsSync(path) ? statSync(path).size : 0);

describe('a search', () => {
  it('finds supported families alone, most downloaded first, without quantised copies', async () => {
    const found = await searchModels(client, { text: '', largest: null });
    expect(found.map(({ id }) => id)).toEqual([
      'acme/large-llama',
      'acme/llama-of-unknown-size',
      'acme/tiny-GGUF',
      'acme/tiny-qwen3',
      'acme/secret',
      'acme/sharded',
      'acme/hostile',
    ]);
    expect(found[3]).toEqual({
      id: 'acme/tiny-qwen3',
      family: 'qwen3',
      format: 'folder',
      parameters: 984_000,
      downloads: 5,
      licence: 'mit',
      gated: false,
    });
    expect(found[4]?.gated).toBe(true);
    expect(found[2]).toMatchObject({ family: 'llama', format: 'gguf', parameters: 75_000, licence: 'apache-2.0' });
  });

  it('keeps to a size as far as the Hub tells it', async () => {
    const found = await searchModels(client, { text: 'ACME', largest: 1e9 });
    expect(found.map(({ id }) => id)).toEqual(['acme/tiny-GGUF', 'acme/tiny-qwen3', 'acme/secret']);
  });
});

describe('a description', () => {
  it('names one revision and only the files that a teacher needs', async () => {
    const { plan, licence } = await describeModel(client, 'acme/tiny-qwen3');
    expect(plan.files.map(({ name }) => name).sort()).toEqual(
      readdirSync(teacher)
        .filter((name) => existsSync(join(teacher, name)))
        .sort(),
    );
    expect(plan.bytes).toBe(plan.files.reduce((sum, { name }) => sum + statSync(join(teacher, name)).size, 0));
    expect(plan.files.find(({ name }) => name === weights)).toMatchObject({
      bytes: weightBytes,
      digest: { kind: 'sha256' },
    });
    expect(plan.files.find(({ name }) => name === 'config.json')?.digest.kind).toBe('git-blob');
    expect(licence).toBe('mit');
  });

  it('of a repository of GGUF files offers each whole one, and proposes one that loses next to nothing', async () => {
    const { plan, gguf, licence } = await describeModel(client, 'acme/tiny-GGUF');
    expect(gguf).toEqual({
      architecture: 'llama',
      parameters: 75_000,
      contextLength: 128,
      files: [
        { name: 'tiny-Q4_K_M.gguf', bytes: 60 },
        { name: 'tiny-Q8_0.gguf', bytes: 100 },
        { name: 'tiny-F16.gguf', bytes: 200 },
      ],
    });
    expect([plan.id, plan.files.map(({ name }) => name), licence]).toEqual([
      'acme/tiny-GGUF/tiny-Q8_0.gguf',
      ['tiny-Q8_0.gguf', 'README.md'],
      'apache-2.0',
    ]);
    const named = await describeModel(client, 'acme/tiny-GGUF/tiny-F16.gguf');
    expect(named.plan).toMatchObject({ id: 'acme/tiny-GGUF/tiny-F16.gguf', bytes: 204 });
    const missing = await refused(describeModel(client, 'acme/tiny-GGUF/tiny-Q2_K.gguf'));
    expect(missing).toMatchObject({ code: 'unsupported', id: 'hub.unusable-file' });
    const target = join(folder, 'acme--tiny-GGUF--tiny-F16.gguf');
    await downloadModel(client, named.plan, target);
    expect(readdirSync(target).sort()).toEqual(['README.md', 'tiny-F16.gguf']);
    expect(statSync(join(target, 'tiny-F16.gguf')).size).toBe(200);
  });

  it('tells of which types its tensors are, and of which model it was made', async () => {
    const { weightTypes, original } = await describeModel(client, 'acme/tiny-fp8');
    expect({ weightTypes, original }).toEqual({ weightTypes: ['F8_E4M3', 'BF16'], original: 'acme/tiny-qwen3' });
    expect((await describeModel(client, 'acme/sharded')).original).toBeNull();
  });

  it('refuses an adapter and pickled weights, with the way out', async () => {
    const adapter = await refused(describeModel(client, 'acme/adapter'));
    expect(adapter).toMatchObject({ id: 'hub.adapter', params: { original: 'acme/tiny-qwen3' } });
    expect(adapter.remedy).toContain('--base');
    const pickled = await refused(describeModel(client, 'acme/pickled'));
    expect(pickled).toMatchObject({ id: 'hub.pickled', params: { name: 'pytorch_model-00001-of-00002.bin' } });
  });

  it('follows the index of sharded weights, each shard once', async () => {
    const { plan } = await describeModel(client, 'acme/sharded');
    expect(plan.files.map(({ name }) => name)).toEqual([
      'config.json',
      'model.safetensors.index.json',
      'shard-1.safetensors',
      'shard-2.safetensors',
    ]);
  });

  it('refuses a shard that would leave the folder, and names that are no model', async () => {
    const error = await refused(describeModel(client, 'acme/hostile'));
    expect(error).toMatchObject({ code: 'unsupported', reason: '"../../.profile.safetensors" is no plain file name' });
    for (const id of ['../etc', 'a/b/c', 'a/..', '/a', 'a\\b', 'a/b?x', ''])
      expect(hubModelId.safeParse(id).success).toBe(false);
    expect(hubModelId.safeParse('Qwen/Qwen3-0.6B').success).toBe(true);
    expect(hubModelId.safeParse('Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf').success).toBe(true);
    for (const id of ['a/b/c', 'a/b/../c.gguf', 'a/b/c/d.gguf', 'a/b/.c.gguf', 'a/b/c.gguf/'])
      expect(hubModelId.safeParse(id).success, id).toBe(false);
  });
});

describe('a download', () => {
  const target = (name: string): string => join(folder, name);
  const identical = (path: string, names: readonly string[]): void => {
    expect(readdirSync(path).sort()).toEqual([...names].sort());
    for (const name of names)
      expect(readFileSync(join(path, name)).equals(readFileSync(join(teacher, name)))).toBe(true);
  };

  it('fetches every byte, follows the redirect, and leaves nothing beside the model', async () => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    let last = 0;
    await downloadModel(client, plan, target('plain'), {
      onProgress: ({ doneBytes }) => {
        expect(doneBytes).toBeGreaterThanOrEqual(last);
        last = doneBytes;
      },
    });
    expect(last).toBe(plan.bytes);
    identical(
      target('plain'),
      plan.files.map(({ name }) => name),
    );
    expect(existsSync(partialFolder(target('plain')))).toBe(false);
  });

  it('ends on a full disk with what it needs and what to do, and goes on from there when there is room', async () => {
    const disk = mountSmallDisk(8);
    if (disk === null) return void process.stdout.write(`${noSmallDisk}\n`);
    try {
      const { plan } = await describeModel(client, 'acme/tiny-qwen3');
      const path = join(disk.folder, 'model');
      for (const left of [0, 600_000]) {
        disk.fill(left);
        const error = await refused(downloadModel(client, plan, path, quick));
        expect([error.code, existsSync(path)]).toEqual(['no-space', false]);
        expect(error.message).toContain('The disk is full');
        expect(error.remedy).toMatch(/^Free /);
      }
      const begun = sizeAt(join(partialFolder(path), `${weights}.incomplete`));
      expect(begun).toBeGreaterThan(0);
      disk.free();
      server.requests.length = 0;
      await downloadModel(client, plan, path, quick);
      identical(
        path,
        plan.files.map(({ name }) => name),
      );
      expect(server.requests.map(({ range }) => range)).toContain(`bytes=${String(begun)}-`);
    } finally {
      disk.unmount();
    }
  });

  it('goes on by itself after broken connections, with ranges, not from the start', async () => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    server.faults.drop = { name: weights, afterBytes: 300_000, times: 3 };
    await downloadModel(client, plan, target('dropped'), quick);
    identical(
      target('dropped'),
      plan.files.map(({ name }) => name),
    );
    const ranges = server.requests
      .filter(({ host, path }) => host === 'cdn' && path.includes(weights))
      .map(({ range }) => range);
    expect(ranges).toHaveLength(4);
    expect(ranges[0]).toBeNull();
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d{4,}-$/);
  });

  it('gives up a connection that falls silent and goes on', async () => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    server.faults.hang = { name: weights, afterBytes: 100_000, times: 1 };
    await downloadModel(client, plan, target('silent'), { ...quick, silenceMilliseconds: 300 });
    identical(
      target('silent'),
      plan.files.map(({ name }) => name),
    );
  });

  it('is gone on with by a later process where an earlier one was killed', async () => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    const stop = new AbortController();
    server.faults.bytesPerSecond = 4_000_000;
    const error = await refused(
      downloadModel(client, plan, target('killed'), {
        signal: stop.signal,
        onProgress: ({ file, doneBytes }) => {
          if (file === weights && doneBytes > plan.bytes - weightBytes / 2) stop.abort();
        },
      }),
    );
    expect(error.code).toBe('stopped');
    delete server.faults.bytesPerSecond;
    const growing = join(partialFolder(target('killed')), `${weights}.incomplete`);
    const there = sizeAt(growing);
    expect(there).toBeGreaterThan(weightBytes / 4);
    expect(there).toBeLessThan(weightBytes);
    expect(existsSync(target('killed'))).toBe(false);
    const [found] = await unfinishedDownloads(folder);
    expect(found).toMatchObject({ target: target('killed'), plan: { id: 'acme/tiny-qwen3' } });
    expect(found?.doneBytes).toBe(plan.bytes - weightBytes + there);
    server.requests.length = 0;
    await downloadModel(client, plan, target('killed'));
    expect(server.requests.map(({ host, range }) => [host, range])).toEqual([
      ['hub', `bytes=${String(there)}-`],
      ['cdn', `bytes=${String(there)}-`],
    ]);
    identical(
      target('killed'),
      plan.files.map(({ name }) => name),
    );
  });

  it('begins a file anew where the server knows no ranges', async () => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    server.faults.drop = { name: weights, afterBytes: 300_000, times: 1 };
    server.faults.ignoreRanges = true;
    await downloadModel(client, plan, target('rangeless'), quick);
    identical(
      target('rangeless'),
      plan.files.map(({ name }) => name),
    );
  });

  it.each([weights, 'config.json'])('refuses a %s with another checksum and keeps nothing of it', async (name) => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    server.faults.corrupt = name;
    const error = await refused(downloadModel(client, plan, target('corrupt'), quick));
    expect(error).toMatchObject({
      code: 'damaged',
      message: `${name} of acme/tiny-qwen3 did not arrive as the Hub describes it.`,
    });
    expect(existsSync(target('corrupt'))).toBe(false);
    expect(readdirSync(partialFolder(target('corrupt'))).filter((each) => each.startsWith(name))).toEqual([]);
    delete server.faults.corrupt;
    await downloadModel(client, plan, target('corrupt'));
    identical(
      target('corrupt'),
      plan.files.map((each) => each.name),
    );
    rmSync(target('corrupt'), { recursive: true });
  });

  it('leaves nothing when it is discarded', async () => {
    const { plan } = await describeModel(client, 'acme/tiny-qwen3');
    server.faults.drop = { name: weights, afterBytes: 300_000, times: 1000 };
    const before = readdirSync(folder);
    const stop = new AbortController();
    const error = await refused(
      downloadModel(client, plan, target('cancelled'), {
        ...quick,
        signal: stop.signal,
        onProgress: ({ file, doneBytes }) => {
          if (file === weights && doneBytes > 100_000) stop.abort();
        },
      }),
    );
    expect(error.code).toBe('stopped');
    await discardDownload(target('cancelled'));
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('what the Hub refuses', () => {
  it.each([
    ['not-found', { code: 404 }, 'The Hub has no such public model or file.'],
    ['not-found', { code: 401, errorCode: 'RepoNotFound' }, 'The Hub has no such public model or file.'],
    ['forbidden', { code: 401 }, 'The Hub does not accept this access.'],
    ['forbidden', { code: 403 }, 'The owner of this model wants its licence accepted first.'],
    ['unreachable', { code: 429, retryAfter: '30' }, 'The Hub asks to slow down.'],
    ['unreachable', { code: 503 }, /has trouble of its own/],
  ] as const)('is %s for %j', async (code, status, message) => {
    server.faults.status = status;
    const error = await refused(describeModel(client, 'acme/tiny-qwen3'));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.reason).toContain(String(status.code));
    if (status.code === 429) expect(error.remedy).toContain('30 seconds');
  });

  it('is given to whoever has the token of a gated model, and the token goes to the Hub alone', async () => {
    const without = await refused(describeModel(client, 'acme/secret'));
    expect(without).toMatchObject({
      code: 'forbidden',
      message: 'The owner of this model wants its licence accepted first.',
    });
    const wrong = await refused(
      describeModel(new HubClient({ endpoint: server.endpoint, token: 'hf_wrong' }), 'acme/secret'),
    );
    expect(wrong.code).toBe('forbidden');
    server.requests.length = 0;
    const right = new HubClient({ endpoint: server.endpoint, token: server.token });
    const { plan } = await describeModel(right, 'acme/secret');
    await downloadModel(right, plan, join(folder, 'secret'));
    expect(server.requests.filter(({ host }) => host === 'hub').every(({ token }) => token === server.token)).toBe(
      true,
    );
    const elsewhere = server.requests.filter(({ host }) => host === 'cdn');
    expect(elsewhere.length).toBeGreaterThan(0);
    expect(elsewhere.every(({ token }) => token === null)).toBe(true);
  });

  it('is said in a sentence when nothing answers, and when the user set the tools to offline', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const host = `127.0.0.1:${String((closed.address() as AddressInfo).port)}`;
    await new Promise((resolve) => closed.close(resolve));
    const error = await refused(new HubClient({ endpoint: `http://${host}` }).json('/api/models'));
    expect(error).toMatchObject({
      code: 'unreachable',
      message: `The Hub cannot be reached at ${host}.`,
      reason: 'nothing answers there (ECONNREFUSED)',
    });
    expect(error.remedy).toContain('Everything that is on this machine works without it.');
    process.env['HF_HUB_OFFLINE'] = '1';
    try {
      expect(await refused(client.json('/api/models'))).toMatchObject({
        code: 'unreachable',
        message: 'HF_HUB_OFFLINE is set, so the Hub is not asked.',
      });
      expect(server.requests).toEqual([]);
    } finally {
      delete process.env['HF_HUB_OFFLINE'];
    }
  });
});
