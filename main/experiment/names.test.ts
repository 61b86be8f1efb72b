import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The sources of `rooms` that are part of the product. */
function sources(rooms: readonly string[]): string[] {
  return rooms.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
      .map((path) => `${room}/${path.split(sep).join('/')}`)
      .filter((path) => /\.(?:ts|vue)$/.test(path) && !/\.test\.ts$|\/fixtures(?:\/|\.ts$)|\/golden\//.test(path)),
  );
}

/** Quoted strings of a source that are no keys of objects and types (the compiler holds those), without comments and imports. */
function strings(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8')
    .replaceAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*/g, '')
    .replaceAll(/\b(?:from|import)\b *\(?'[^']*'/g, '');
  return [...text.matchAll(/(?<!\w\[)'((?:[^'\\\n]|\\.)*)'(?!\s*:)|`((?:[^`\\]|\\.)*)`/g)].map(
    ([, plain, template]) => plain ?? template ?? '',
  );
}

/** `path: string` of each string in which `pattern` occurs. */
function spelled(rooms: readonly string[], pattern: RegExp): string[] {
  return sources(rooms).flatMap((path) =>
    strings(path)
      .filter((text) => pattern.test(text))
      .map((text) => `${path}: ${text}`),
  );
}

describe('names that two rooms must agree on', () => {
  it('of files in an experiment’s folder are spelled by this room alone', () => {
    const part = 'evaluations|measurements|checkpoints|exports|cache|[a-z]+\\.tokens';
    const file = 'experiment|annotations|comparison|worker|ranks|exports|written-rows';
    const rooms = ['main/pipeline', 'main/jobs', 'main/workbench', 'main/shell'];
    const found = spelled(
      rooms,
      new RegExp(`(?:^|[/\\\\])(?:(?:${part})(?:$|[/\\\\])|(?:${file})\\.jsonl?$|events\\.jsonl$)`),
    );
    // Making a base is no experiment: it works in a folder of its own.
    expect(found.filter((text) => !text.startsWith('main/pipeline/stages/make-base.ts: '))).toEqual([]);
  });

  it('of models are spelled by the contract alone', () => {
    const rooms = ['main/pipeline', 'main/jobs', 'main/workbench', 'main/shell', 'renderer'];
    expect(spelled(rooms, /^(?:bitnet-sft|bitdistill|teacher-q4_0)$/)).toEqual([]);
  });

  it('of the metrics of layers, and of curves, are made and read by the contract alone', () => {
    const rooms = ['main/training', 'main/pipeline', 'main/jobs', 'main/workbench', 'main/shell', 'renderer'];
    expect(
      spelled(rooms, /^(?:[a-z]+\/)?ternary\/|^\/ternary\/|^\$\{[^}]*\}\/(?:ternary\/|\$\{(?:metric|name)\}$)/),
    ).toEqual([]);
  });

  it('finds what it looks for', () => {
    expect(spelled(['main/experiment'], /^evaluations$/)).toEqual(['main/experiment/folder.ts: evaluations']);
    expect(spelled(['main/contract'], /^bitdistill$/).length).toBeGreaterThan(0);
    expect(spelled(['main/contract'], /^ternary\/\$\{layer/)).toEqual([
      'main/contract/metric-names.ts: ternary/${layer}/${share}',
    ]);
  });
});
