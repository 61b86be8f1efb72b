/** Damaged copies of JSON documents that are still JSON: what a byte flip seldom reaches. */

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const numbers = [0, -1, 1, 0.5, 255, 65_536, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 1e18, 1e308, 4_000_000, 1000];
const texts = [
  '',
  '../outside',
  '../../../../etc/passwd',
  '/etc/passwd',
  'C:\\Windows\\win.ini',
  '\\\\server\\share',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '\u0000',
  '\ud800',
  '\ufeff',
  '(a+)+$',
  '(.*)*x',
  '{{ x }}',
  'x'.repeat(5000),
];
const names = ['__proto__', 'constructor', 'prototype', 'toString', 'length', 'then', '', '0', '../x', 'x'.repeat(300)];

type Below = (limit: number) => number;
const oneOf = <T>(list: readonly T[], below: Below): T => list[below(list.length)]!;

function nested(depth: number): Json {
  let value: Json = [];
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function nasty(below: Below, words: readonly string[]): Json {
  switch (below(9)) {
    case 0:
      return oneOf(numbers, below) * (below(4) === 0 ? -1 : 1);
    case 1:
      return null;
    case 2:
      return below(2) === 0;
    case 3:
      return [];
    case 4:
      return {};
    case 5:
      return nested(1 + below(60));
    case 6:
      return Array.from({ length: below(200) }, () => oneOf(texts, below));
    case 7:
      return words.length > 0 ? oneOf(words, below) : oneOf(texts, below);
    default:
      return oneOf(texts, below);
  }
}

/** Every place of a document: its holder and its key there. */
function places(root: Json): { holder: Json[] | Record<string, Json>; key: string | number }[] {
  const found: { holder: Json[] | Record<string, Json>; key: string | number }[] = [];
  const waiting: Json[] = [root];
  while (waiting.length > 0 && found.length < 5000) {
    const value = waiting.pop()!;
    if (typeof value !== 'object' || value === null) continue;
    for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
      found.push({ holder: value, key });
      waiting.push((value as Json[])[key as number]!);
    }
  }
  return found;
}

const put = (holder: object, key: string | number, value: Json) =>
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });

/** One to four changes: a value replaced, removed, renamed, doubled, exchanged with another, or a number a little off. */
export function mutateJson(original: string, below: Below, words: readonly string[]): string {
  const root = { root: JSON.parse(original) as Json };
  for (let rounds = 1 + below(4); rounds > 0; rounds--) {
    const all = places(root.root).concat({ holder: root, key: 'root' });
    const { holder, key } = oneOf(all, below);
    const value = (holder as Record<string, Json>)[key as string]!;
    switch (below(8)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else if (key !== 'root') Reflect.deleteProperty(holder, key);
        break;
      case 1:
        if (!Array.isArray(holder) && key !== 'root') {
          Reflect.deleteProperty(holder, key);
          put(holder, oneOf(names, below), value);
        }
        break;
      case 2:
        if (Array.isArray(holder)) holder.splice(Number(key), 0, value);
        else if (key !== 'root') put(holder, `${key}${oneOf(names, below)}`, value);
        break;
      case 3: {
        const other = oneOf(all, below);
        if (other.key !== 'root' && key !== 'root')
          put(holder, key, structuredClone((other.holder as Record<string, Json>)[other.key as string] ?? null));
        break;
      }
      case 4:
        if (typeof value === 'number')
          put(holder, key, below(2) === 0 ? value + below(3) - 1 : value * 2 ** (below(60) - 20));
        else if (typeof value === 'string') put(holder, key, value.slice(below(value.length + 1)));
        break;
      default:
        put(holder, key, nasty(below, words));
    }
  }
  return JSON.stringify(root.root) ?? 'null';
}
