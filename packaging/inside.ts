/**
 * What a user does with an unpacked archive, done by the archive's own Node where it lies: `node inside.js open|all <folder of the archive> <scratch folder>`.
 * It imports nothing but Node. One line for each thing that was shown; an error, and exit code 1, for the first that was not.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

const [what, archive = '', scratch = ''] = process.argv.slice(2);
const windows = process.platform === 'win32';
const start = join(archive, { win32: 'start.cmd', darwin: 'start.command' }[process.platform as string] ?? 'start.sh');
const command = join(archive, windows ? 'tritsmith.cmd' : 'tritsmith');
const workspace = join(scratch, 'Arbeits-Ordner ü');
const begun = performance.now();

function shown(text: string): void {
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const who = process.getuid === undefined ? '' : `user ${String(process.getuid())}, `;
  process.stdout.write(`ok (${who}${seconds} s): ${text}\n`);
}

function must(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line in the scratch workspace. */
function tritsmith(...args: string[]): Ended {
  const { status, stdout, stderr, error } = spawnSync(command, [...args, '--workspace', workspace], {
    encoding: 'utf8',
    shell: windows,
    maxBuffer: 1 << 28,
  });
  return { code: status, out: stdout, err: `${stderr}${error === undefined ? '' : String(error)}` };
}

function succeeding(...args: string[]): string {
  const { code, out, err } = tritsmith(...args);
  must(code === 0, `tritsmith ${args.join(' ')} ended with ${String(code)}:\n${out}${err}`);
  return out;
}

/** Resolves to how a connection to an address of nobody (RFC 5737) fails. */
function reachOutside(): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '192.0.2.1', port: 443, timeout: 3000 });
    const end = (how: string): void => {
      socket.destroy();
      resolve(how);
    };
    socket.once('connect', () => {
      end('connected');
    });
    socket.once('timeout', () => {
      end('timeout');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code ?? error.message);
    });
  });
}

async function place(): Promise<void> {
  let refused = '';
  try {
    writeFileSync(join(archive, 'engine', 'probe'), '');
  } catch (thrown) {
    refused = (thrown as NodeJS.ErrnoException).code ?? '';
  }
  must(refused !== '' || process.env['PROOF_PLAIN'] !== undefined, 'The folder of the archive can be written to.');
  if (refused !== '') shown(`the archive lies in "${archive}", and cannot be written to (${refused})`);
  if (process.env['PROOF_PLAIN'] !== undefined) return;
  must(process.env['HOME'] === undefined, 'HOME is set.');
  const outside = Object.values(networkInterfaces()).filter((all) => all?.some(({ internal }) => !internal));
  must(outside.length === 0, `There is a network: ${JSON.stringify(outside)}`);
  const how = await reachOutside();
  must(how === 'ENETUNREACH', `There is a way out: ${how}`);
  const files = readdirSync('/').filter((name) => !['dev', 'proc', 'tmp'].includes(name));
  shown(`no HOME, no network (${how}), and in the root of the file system nothing but ${files.join(', ')}`);
}

/** Starts the workbench, opens its page as a browser would, and ends it as a service manager would. */
async function workbench(): Promise<void> {
  const child = spawn(start, ['--workspace', workspace], { stdio: ['ignore', 'pipe', 'pipe'], shell: windows });
  let said = '';
  const link = new Promise<URL>((resolve, reject) => {
    const hear = (text: string): void => {
      said += text;
      const found = /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(said)?.[0];
      if (found !== undefined) resolve(new URL(found));
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    child.once('error', reject);
    child.once('close', (code) => {
      reject(new Error(`The workbench ended with ${String(code)}: ${said}`));
    });
  });
  const { origin, hash } = await link;
  const page = await fetch(origin);
  const html = await page.text();
  const script = /<script[^>]* src="([^"]+)"/.exec(html)?.[1];
  must(page.status === 200 && script !== undefined, `The page is not one: ${html.slice(0, 200)}`);
  const code = await fetch(new URL(script!, origin));
  must(code.status === 200 && (await code.text()).length > 1000, `The page's script ${script!} is missing.`);
  const opened = await fetch(new URL('/session', origin), {
    method: 'POST',
    headers: { origin },
    body: JSON.stringify({ token: hash.slice('#token='.length) }),
  });
  const { session } = (await opened.json()) as { session: string };
  await new Promise<void>((resolve, reject) => {
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/procedures`, {
      protocols: ['tritsmith', session],
      headers: { origin },
    } as unknown as string[]);
    socket.addEventListener('open', () => {
      socket.close();
      resolve();
    });
    socket.addEventListener('error', () => {
      reject(new Error('The page gets no connection to the workbench.'));
    });
  });
  shown('the workbench starts; its page, script, session and connection are served');
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  must((await ended) === 0 || windows, `After SIGTERM it ended otherwise: ${said}`);
  shown('SIGTERM ends it in order');
}

/** The demo with few steps: teacher, three stages, export; then the exported file in use. */
function train(): void {
  const demo = join(archive, 'engine', 'resources', 'demo');
  const recipe = JSON.parse(readFileSync(join(demo, 'recipe.json'), 'utf8')) as Record<string, Record<string, unknown>>;
  const rows = readFileSync(join(demo, 'task', 'dev.tsv'), 'utf8').split('\n').slice(0, 61).join('\n');
  mkdirSync(scratch, { recursive: true });
  writeFileSync(join(scratch, 'dev.tsv'), `${rows}\n`);
  const few = (stage: string, steps: number): Record<string, unknown> => ({ ...recipe[stage], steps });
  const short = {
    ...recipe,
    teacher: join(demo, 'teacher'),
    task: { ...recipe['task'], train: join(demo, 'task', 'train.tsv'), dev: join(scratch, 'dev.tsv'), limit: 400 },
    finetune: few('finetune', 20),
    pretrain: { ...recipe['pretrain'], corpus: join(demo, 'corpus.jsonl'), tokens: 2048 },
    distil: few('distil', 10),
  };
  writeFileSync(join(scratch, 'recipe.json'), JSON.stringify(short));
  const { rows: results } = JSON.parse(succeeding('run', join(scratch, 'recipe.json'), '--json')) as {
    rows: { name: string }[];
  };
  const names = results.map(({ name }) => name);
  must(names.includes('bitdistill'), `The run has no student: ${names.join(', ')}`);
  shown(`a shortened demo trained and measured ${names.join(', ')}`);
}

function use(): void {
  const experiment = JSON.parse(succeeding('show', 'latest', '--json')) as unknown;
  const file = /"([^"]+\.gguf)"/.exec(JSON.stringify(experiment))?.[1];
  const text = succeeding('show', 'latest');
  must(/\.gguf/.test(text), `There is no exported file:\n${text}`);
  const exported = succeeding('export', 'latest', '--type', 'q8_0', '--output', join(scratch, 'student.gguf'), '--json');
  must(existsSync(join(scratch, 'student.gguf')), 'The export wrote nothing.');
  must(/"proofs?"/.test(exported), `The exported file was not verified:\n${exported.slice(0, 2000)}`);
  succeeding('inspect', join(scratch, 'student.gguf'), '--json');
  const label = succeeding('classify', 'latest', '--text', 'Where is my parcel?');
  must(label.trim() !== '', 'The student gave no label.');
  shown(`exported files are verified and answer (${file ?? 'student.gguf'}: ${label.trim().split('\n')[0]!})`);
}

function words(): void {
  must(/^\d+\.\d+\.\d+/.test(succeeding('--version')), 'It does not say its version.');
  const doctor = tritsmith('doctor', '--json');
  must(/"findings"/.test(doctor.out), `doctor ended with ${String(doctor.code)}: ${doctor.out}${doctor.err}`);
  const full = tritsmith('teacher', 'download', 'nobody/nothing');
  must(full.code !== 0 && !/\n\s+at /.test(full.err), `Without a network it says: ${full.err}`);
  shown('the command line answers, and says in words that there is no network');
}

/** Without a place for the workspace it says so. */
function nowhere(): void {
  const { status, stderr } = spawnSync(command, ['list'], { encoding: 'utf8', shell: windows });
  must(status !== 0 && /--workspace/.test(stderr) && !/\n\s+at /.test(stderr), `Without a workspace it says: ${stderr}`);
  shown('where no workspace can be made, it says to name one');
}

try {
  await place();
  await workbench();
  if (what === 'all') {
    if (process.env['PROOF_PLAIN'] === undefined) nowhere();
    words();
    train();
    use();
  }
} catch (thrown) {
  process.stderr.write(`FAILED: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
}
