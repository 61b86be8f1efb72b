/** JSON from files that may lie: bounded in size and depth before it is parsed. */
import { existsSync } from 'node:fs';
import { TritsmithError } from '../contract/errors.ts';
import { openRegularFile } from './regular-file.ts';

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = Record<string, Json>;

/** A plain object; own properties only must be read from it (`Object.entries`, `Object.hasOwn`). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own property, so that `__proto__` and `constructor` are never found on the prototype. */
export function ownValue(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function deepestNesting(bytes: Uint8Array, limit: number): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (inString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth++;
      if (depth > deepest) deepest = depth;
      if (deepest > limit) return deepest;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return deepest;
}

const quote = 0x22;
const backslash = 0x5c;
const isBlank = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** Whether what follows `at` makes the string before it a key. */
function isKey(text: string, at: number): boolean {
  let next = at;
  while (isBlank(text.charCodeAt(next))) next++;
  return text[next] === ':';
}

/** The value with its own keys in place of the numbered ones, in their order. */
function withKeys(value: Json, keys: readonly string[]): Json {
  if (Array.isArray(value)) return value.map((item) => withKeys(item, keys));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name.startsWith('#') ? keys[Number(name.slice(1))]! : name,
      withKeys(item, keys),
    ]),
  );
}

/**
 * `JSON.parse`, but for a mistake of V8 (nodejs/node issue 63785, in Node 24 and 26): after an object with the key `\\`, the key `\"` of another
 * object may come out as `\\`. Vocabularies have both. So keys with an escape are parsed as strings, and the objects with numbers in their place.
 * Takes time in proportion to the text.
 * @throws SyntaxError
 */
export function parseJson(text: string): Json {
  if (!text.includes('\\')) return JSON.parse(text) as Json;
  const parts: string[] = [];
  const keys: string[] = [];
  let copied = 0;
  let anyEscaped = false;
  for (let start = text.indexOf('"'); start >= 0;) {
    let end = start + 1;
    let escaped = false;
    for (let code; end < text.length && (code = text.charCodeAt(end)) !== quote; end++)
      if (code === backslash) {
        escaped = true;
        end++;
      }
    const after = end + 1;
    // A key that looks like a number of ours gets one too.
    if ((escaped || text[start + 1] === '#') && isKey(text, after)) {
      parts.push(text.slice(copied, start), `"#${keys.length}"`);
      keys.push(text.slice(start, after));
      copied = after;
      anyEscaped ||= escaped;
    }
    start = text.indexOf('"', after);
  }
  if (!anyEscaped) return JSON.parse(text) as Json;
  const numbered = JSON.parse(parts.join('') + text.slice(copied)) as Json;
  return withKeys(
    numbered,
    keys.map((key) => JSON.parse(key) as string),
  );
}

/**
 * Parses UTF-8 JSON (a byte order mark is skipped); `what` names the thing in errors. Nesting is counted before parsing, so that a
 * file of brackets cannot use up the memory.
 * @throws TritsmithError `damaged`: not UTF-8, not JSON, or nested deeper than `maxDepth`.
 */
export function parseBoundedJson(bytes: Uint8Array, what: string, maxDepth = 32): Json {
  if (deepestNesting(bytes, maxDepth) > maxDepth)
    throw new TritsmithError('damaged', 'json.too-deep', { what, maxDepth });
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (thrown) {
    throw new TritsmithError('damaged', 'json.invalid', { what, problem: (thrown as Error).message.slice(0, 200) });
  }
}

/**
 * Bytes of a whole file that is expected to be small.
 * @throws TritsmithError `not-found`, `not-writable` (no permission), `bad-input` (not a file, or more than `maxBytes`).
 */
export async function readBoundedFile(file: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const { handle, size } = await openRegularFile(file);
    try {
      if (size > maxBytes) throw new TritsmithError('bad-input', 'json.too-large', { file, size, maxBytes });
      const bytes = new Uint8Array(size);
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
}

/** As `readJsonObject`; null where there is no such file. */
export async function readOptionalJsonObject(
  file: string,
  maxBytes: number,
  maxDepth = 32,
): Promise<JsonObject | null> {
  return existsSync(file) ? readJsonObject(file, maxBytes, maxDepth) : null;
}

/** A JSON object from a file of at most `maxBytes`. @throws TritsmithError as `readBoundedFile` and `parseBoundedJson` do. */
export async function readJsonObject(file: string, maxBytes: number, maxDepth = 32): Promise<JsonObject> {
  const value = parseBoundedJson(await readBoundedFile(file, maxBytes), file, maxDepth);
  if (!isJsonObject(value)) throw new TritsmithError('damaged', 'json.no-object', { file });
  return value;
}
