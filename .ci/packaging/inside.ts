/**
 * What a user does with an unpacked archive, done by the archive's own Node where it lies: `node inside.js open|use|all <folder of the archive> <scratch folder>`.
 * It imports nothing but Node. One line for each thing that was shown; an error, and exit code 1, for the first that was not.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

const [what, archive = '', scratch = ''] = process.argv.slice(2);
const windows = process.platform === 'win32';
const start = join(
  archive,
  { win32: 'start-tritsmith.cmd', darwin: 'start-tritsmith.command' }[process.platform as string] ??
    'start-tritsmith.sh',
);
const command = join(archive, windows ? 'tritsmith.cmd' : 'tritsmith');
const workspace = join(scratch, 'Arbeits-Ordner ü');
/** Only as far as the machine allows: with its own files, network and user. */
const plain = process.env['PROOF_PLAIN'] !== undefined;
/** An emulated thread that waits for another by spinning takes the time that the other needs. */
const oneThread = process.env['PROOF_EMULATED'] !== undefined;
const begun = performance.now();
const workbenches: ChildProcess[] = [];

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

/** How a script of the archive is started; cmd takes one line, in which each word is in quotes. */
function started(script: string, args: readonly string[]): [program: string, args: string[], options: object] {
  if (!windows) return [script, [...args], {}];
  const line = [script, ...args].map((word) => `"${word}"`).join(' ');
  return ['cmd.exe', ['/d', '/s', '/c', `"${line}"`], { windowsVerbatimArguments: true }];
}

/** Runs a script of the archive to its end; what it writes goes through files, because Wine's programs cannot write to a pipe. */
function ended(script: string, args: readonly string[]): Ended {
  const names = ['out.txt', 'err.txt'].map((name) => join(scratch, name));
  const [out, err] = names.map((name) => openSync(name, 'w'));
  const [program, words, options] = started(script, args);
  const { status, error } = spawnSync(program, words, { ...options, stdio: ['ignore', out, err] });
  closeSync(out!);
  closeSync(err!);
  const [said, complaint] = names.map((name) => readFileSync(name, 'utf8'));
  return { code: status, out: said!, err: `${complaint!}${error === undefined ? '' : String(error)}` };
}

/** Runs the command line in the scratch workspace. */
const tritsmith = (...args: string[]): Ended => ended(command, [...args, '--workspace', workspace]);

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
  must(refused !== '' || plain, 'The folder of the archive can be written to.');
  if (refused !== '') shown(`the archive lies in "${archive}", and cannot be written to (${refused})`);
  if (plain) return;
  must(process.env['HOME'] === undefined, 'HOME is set.');
  const outside = Object.values(networkInterfaces()).filter((all) => all?.some(({ internal }) => !internal));
  must(outside.length === 0, `There is a network: ${JSON.stringify(outside)}`);
  const how = await reachOutside();
  must(how === 'ENETUNREACH', `There is a way out: ${how}`);
  const files = readdirSync('/').filter((name) => !['dev', 'proc', 'tmp'].includes(name));
  shown(`no HOME, no network (${how}), and in the root of the file system nothing but ${files.join(', ')}`);
}

function connects(origin: string, session: string): Promise<boolean> {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/procedures`, {
    protocols: ['tritsmith', session],
    headers: { origin },
  });
  return new Promise((resolve) => {
    socket.addEventListener('open', () => {
      socket.close();
      resolve(true);
    });
    socket.addEventListener('error', () => {
      resolve(false);
    });
  });
}

/** Starts the workbench, opens its page as a browser would, and ends it as a service manager would. */
async function workbench(): Promise<void> {
  const said = join(scratch, 'workbench.txt');
  const output = openSync(said, 'w');
  const [program, words, options] = started(start, ['--workspace', workspace, '--no-browser']);
  const child = spawn(program, words, { ...options, stdio: ['ignore', output, output] });
  workbenches.push(child);
  const ending = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  let over = false;
  void ending.then(() => (over = true));
  let link: string | undefined;
  while (link === undefined) {
    link = /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(readFileSync(said, 'utf8'))?.[0];
    must(!over, `The workbench ended: ${readFileSync(said, 'utf8')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { origin, hash } = new URL(link);
  // Each on a connection of its own: one that is kept may be closed before a slow machine uses it again.
  const connection = 'close';
  const page = await fetch(origin, { headers: { connection } });
  const html = await page.text();
  const script = /<script[^>]* src="([^"]+)"/.exec(html)?.[1];
  must(page.status === 200 && script !== undefined, `The page is not one: ${html.slice(0, 200)}`);
  const code = await fetch(new URL(script!, origin), { headers: { connection } });
  must(code.status === 200 && (await code.text()).length > 1000, `The page's script ${script!} is missing.`);
  const opened = await fetch(new URL('/session', origin), {
    method: 'POST',
    headers: { origin, connection },
    body: JSON.stringify({ token: hash.slice('#token='.length) }),
  });
  const { session } = (await opened.json()) as { session: string };
  // An emulated processor may be slower than Node waits for a connection.
  let connected = false;
  for (let attempt = 0; !connected && attempt < 5; attempt++) connected = await connects(origin, session);
  must(connected, 'The page gets no connection to the workbench.');
  shown('the workbench starts; its page, script, session and connection are served');
  if (windows) {
    spawnSync('taskkill', ['/pid', String(child.pid), '/t', '/f']);
    return;
  }
  child.kill('SIGTERM');
  must((await ending) === 0, `After SIGTERM it ended otherwise: ${readFileSync(said, 'utf8')}`);
  shown('SIGTERM ends it in order');
}

/** The demo with few steps: teacher, three stages, export; then the exported file in use. */
function train(): void {
  const demo = join(archive, 'engine', 'resources', 'demo');
  const recipe = JSON.parse(readFileSync(join(demo, 'recipe.json'), 'utf8')) as Record<string, Record<string, unknown>>;
  const rows = readFileSync(join(demo, 'task', 'dev.tsv'), 'utf8')
    .split('\n')
    .slice(0, 61)
    .join('\n');
  writeFileSync(join(scratch, 'dev.tsv'), `${rows}\n`);
  const few = (stage: string, steps: number): Record<string, unknown> => ({ ...recipe[stage], steps });
  const short = {
    ...recipe,
    ...(oneThread ? { threads: 1 } : {}),
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
  const file = join(scratch, 'student.gguf');
  const proofs = succeeding('export', 'latest', '--type', 'tq2_0', '--output', file)
    .split('\n')
    .filter((line) => /^ {2}(proven|FAILED): /.test(line));
  must(proofs.length > 0, 'The exported file was not verified.');
  must(
    proofs.every((line) => line.startsWith('  proven')),
    proofs.join('\n'),
  );
  for (const line of proofs) shown(`the exported file: ${line.trim()}`);
  const inspected = succeeding('inspect', file);
  must(/Tritsmith/.test(inspected), `inspect says: ${inspected}`);
  const answer = succeeding('classify', 'latest', '--text', 'Where is my parcel?').trim();
  // Below the head of the table and its line.
  const best = answer.split('\n')[2];
  must(best !== undefined, `The student gave no label: ${answer}`);
  shown(`the student answers: ${best!.trim()}`);
}

function words(): void {
  must(/^\d+\.\d+\.\d+/.test(succeeding('--version')), 'It does not say its version.');
  const doctor = tritsmith('doctor', '--json');
  const help = succeeding('run', '--help');
  must(
    help.includes(`\n  ${command.includes(' ') ? `${windows ? '"' : "'"}${command}` : command}`),
    `The help names another command than ${command}: ${help}`,
  );
  must(/"findings"/.test(doctor.out), `doctor ended with ${String(doctor.code)}: ${doctor.out}${doctor.err}`);
  shown('the command line answers, and says what this machine can do');
  if (plain) return;
  const fetched = tritsmith('teacher', 'download', 'nobody/nothing');
  must(fetched.code !== 0 && !/\n\s+at /.test(fetched.err), `Without a network it says: ${fetched.err}`);
  shown(`without a network it says: ${fetched.err.trim().split('\n')[0]!}`);
}

/** Without a place for the workspace it says so. */
function nowhere(): void {
  const { code, err } = ended(command, ['list']);
  must(code !== 0 && /--workspace/.test(err) && !/\n\s+at /.test(err), `Without a workspace it says: ${err}`);
  shown('where no workspace can be made, it says to name one');
}

mkdirSync(scratch, { recursive: true });
try {
  await place();
  if (what !== 'use') await workbench();
  if (what !== 'open') {
    if (!plain) nowhere();
    words();
    train();
    use();
  }
} catch (thrown) {
  const { message, cause } = thrown as Error;
  process.stderr.write(`FAILED: ${message}${cause === undefined ? '' : ` (${String(cause)})`}\n`);
  // A workbench that still runs would keep this process.
  for (const child of workbenches) child.kill('SIGKILL');
  process.exit(1);
}
