/** Writes what a benchmark found into its own part of docs/results.md or of the README; nothing there is typed in by hand. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const documents = fileURLToPath(new URL('../docs', import.meta.url));
const resultsPath = join(documents, 'results.md');

/** The processor that as-processor.ts lets this process find; undefined: the machine's. */
const hidden = process.env.TRITSMITH_AS_PROCESSOR;

const introduction = `# Results

What the benchmarks measured. Each section is written by the command in its first line and replaced when that runs again. Intervals are 95 %.
`;

/** A Markdown table; the first row is the head. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows.map((cells) => `| ${cells.join(' | ')} |`);
  return [head, `|${rows[0]!.map((_, column) => (column === 0 ? '---' : '---:')).join('|')}|`, ...body].join('\n');
}

/** Date, commit, processor and memory, for the line under a heading. */
export function circumstances(): string {
  let commit = 'unknown';
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: documents, encoding: 'utf8' }).trim();
  } catch {
    // An unpacked archive has no history.
  }
  const [processor] = cpus();
  const as = hidden === undefined ? '' : `, without what a processor with ${hidden} does not have`;
  return `${new Date().toISOString().slice(0, 10)}, commit ${commit}, ${cpus().length} cores (${processor?.model.trim() ?? 'unknown'}${as}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
}

/** Replaces the section `name` of docs/results.md, or adds it at the end; what was measured as on another processor has sections of its own. */
export function writeSection(name: string, markdown: string): void {
  const command = hidden === undefined ? name : `as-processor ${hidden} npm run bench -- ${name}`;
  writeFileSync(resultsPath, withSection(resultsPage(), command, markdown));
}

/** The text of docs/results.md. */
export function resultsPage(): string {
  return existsSync(resultsPath) ? readFileSync(resultsPath, 'utf8') : introduction;
}

/** Replaces the section `name` of the README, if it has one. */
export function updateReadme(name: string, markdown: string): void {
  const path = join(documents, '..', 'README.md');
  const before = readFileSync(path, 'utf8');
  if (before.includes(beginning(name))) writeFileSync(path, withSection(before, name, markdown));
}

const beginning = (name: string): string => `<!-- written by: npm run bench -- ${name} -->`;

function withSection(before: string, name: string, markdown: string): string {
  const begin = beginning(name);
  const end = `<!-- end of: ${name} -->`;
  const section = `${begin}\n\n${markdown.trim()}\n\n${end}`;
  const from = before.indexOf(begin);
  const to = before.indexOf(end);
  return from >= 0 && to > from
    ? before.slice(0, from) + section + before.slice(to + end.length)
    : `${before.trimEnd()}\n\n${section}\n`;
}

/** Writes a plot beside the page; returns the Markdown that shows it. */
export function writePlot(name: string, svg: string, text: string): string {
  const path = join(documents, 'plots', `${name}.svg`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, svg);
  return `![${text}](plots/${name}.svg)`;
}
