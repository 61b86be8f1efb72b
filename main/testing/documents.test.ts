/** What sources and documents say about each other: named files and sections exist, and the plan of the rooms is the one that lint holds. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { default: plan } = (await import(new URL('../../.dependency-cruiser.mjs', import.meta.url).href)) as {
  default: { forbidden: { name: string; to: { pathNot?: string | string[] } }[] };
};
const folders = ['.ci', 'bench', 'docs', 'e2e', 'main', 'native', 'preload', 'renderer', 'resources'];
const written = new Set(['.cc', '.gyp', '.h', '.html', '.js', '.md', '.mjs', '.py', '.ts', '.vue']);
const skipped = new Set(['build', 'node_modules', 'demo']);

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : filesBelow(path);
    return written.has(extname(entry.name)) ? [path] : [];
  });
}

/** Text of a file on one line, without the marks that comments put at the beginning of theirs. */
function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8').replace(/\s*\n\s*(?:\*|\/\/|#)?[ \t]*/g, ' ');
}

const atRoot = readdirSync(root).filter((name) => written.has(extname(name)));
const texts = new Map([...atRoot, ...folders.flatMap(filesBelow)].map((path) => [path, textOf(path)]));
const documents = [...texts.keys()].filter((path) => /^(?:README|docs\/[\w-]+)\.md$/.test(path));

interface Headings {
  readonly numbers: ReadonlySet<string>;
  readonly titles: readonly string[];
}

function headingsOf(path: string): Headings {
  const lines = readFileSync(join(root, path), 'utf8').split('\n');
  const titles = lines.flatMap((line) => /^#+ (.+)$/.exec(line)?.[1] ?? []);
  return { numbers: new Set(titles.flatMap((title) => /^(\d+(?:\.\d+)*)/.exec(title)?.[1] ?? [])), titles };
}

const headings = new Map(documents.map((path) => [path, headingsOf(path)]));
const numbers = /\d+(?:\.\d+)*(?:(?:, (?:and )?| and | or )\d+(?:\.\d+)*)*/.source;

interface Citation {
  readonly from: string;
  readonly to: string;
  readonly sections: readonly string[];
  readonly title: string | undefined;
}

/** `docs/method.md, 2.1 and 2.2`, `docs/architecture.md, "Engine"`, and in documents `[method.md](method.md), section 3`. */
function citationsIn(from: string, text: string): Citation[] {
  const plain = new RegExp(`(?<![\\w/])docs/([\\w-]+\\.md)\`?(?:, (?:(${numbers})|"([^"]+)"))?`, 'g');
  const linked = new RegExp(`\\]\\(([\\w-]+\\.md)\\)(?:, (?:section )?(?:(${numbers})|"([^"]+)"))?`, 'g');
  const patterns = from.startsWith('docs/') ? [plain, linked] : [plain];
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, name, list, title]) => ({
      from,
      to: `docs/${name!}`,
      sections: list?.match(/\d+(?:\.\d+)*/g) ?? [],
      title,
    })),
  );
}

const citations = [...texts].flatMap(([path, text]) => citationsIn(path, text));

describe('what code and documents say about documents', () => {
  it('names documents that exist', () => {
    expect(citations.length).toBeGreaterThan(40);
    expect(citations.filter(({ to }) => !headings.has(to))).toEqual([]);
  });

  it('cites sections that exist', () => {
    const numbered = citations.filter(({ sections }) => sections.length > 0);
    expect(numbered.length).toBeGreaterThan(25);
    const missing = citations.filter(({ to, sections, title }) => {
      const { numbers: known, titles } = headings.get(to)!;
      return (
        sections.some((section) => !known.has(section)) || (title && !titles.some((each) => each.startsWith(title)))
      );
    });
    expect(missing).toEqual([]);
  });

  it('names no document that only its writer has', () => {
    const foreign = [...texts].flatMap(([path, text]) =>
      (text.match(/\b[A-Z][A-Z-]+\.md\b/g) ?? [])
        .filter((name) => !['README.md', 'LICENSE.md'].includes(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(foreign).toEqual([]);
  });
});

/** Rooms of the plan and what each may import, as lint reads it. */
const rooms = new Map(
  plan.forbidden.flatMap(({ name, to }): [string, string[]][] => {
    const room = /^(.+)-imports-down$/.exec(name)?.[1];
    const allowed = to.pathNot?.[0];
    if (room === undefined || typeof allowed !== 'string') return [];
    const list = /^\^\((.+)\)\/$/.exec(allowed)![1]!.split('|');
    return [[room, list.filter((each) => each !== room).sort()]];
  }),
);

describe('what documents say about code', () => {
  it.each(documents)('%s names files that exist', (document) => {
    const named = texts
      .get(document)!
      .matchAll(/`((?:main|native|renderer|preload|bench|e2e|resources|\.ci|docs)\/[^`\s]*)`/g);
    const missing = [...named]
      .map(([, path]) => path!.replace(/[/]?\*.*$/, '').replace(/\/$/, ''))
      .filter((path) => !existsSync(join(root, path)) && !rooms.has(path));
    expect(missing).toEqual([]);
  });

  it('docs/method.md names functions that are in the files beside them', () => {
    const rows = readFileSync(join(root, 'docs/method.md'), 'utf8').matchAll(
      /^\| (?:[\d., ]+) \|[^|]+\|[^|]+\|([^|]+)\|([^|]+)\|$/gm,
    );
    const missing: string[] = [];
    let seen = 0;
    for (const [, functions, files] of rows) {
      const sources = [...files!.matchAll(/`([^`]+)`/g)].map(([, path]) => readFileSync(join(root, path!), 'utf8'));
      for (const [, name] of functions!.matchAll(/`([\w.]+)`/g)) {
        seen += 1;
        for (const part of name!.split('.')) if (!sources.some((text) => text.includes(part))) missing.push(name!);
      }
    }
    expect(seen).toBeGreaterThan(15);
    expect(missing).toEqual([]);
  });

  it('docs/architecture.md has the rooms of the plan, with what each may import', () => {
    const table = readFileSync(join(root, 'docs/architecture.md'), 'utf8').matchAll(
      /^\| `([\w/-]+)\/` \|[^|]+\| ([^|]+) \|$/gm,
    );
    const told = [...table].map(([, room, imports = '']): [string, string[]] => [
      room!,
      imports === 'nothing'
        ? []
        : [...imports.matchAll(/[\w-]+/g)].map(([word]) => (rooms.has(word) ? word : `main/${word}`)).sort(),
    ]);
    expect(Object.fromEntries(told)).toEqual(Object.fromEntries(rooms));
  });
});
