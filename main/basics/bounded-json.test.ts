import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBoundedJson, parseJson } from './bounded-json.ts';

describe('JSON with escapes in its keys', () => {
  it('is read right where JSON.parse of V8 takes one key for another', () => {
    // What spoils the next reading.
    JSON.parse('{"h":[],"\\\\":0}');
    JSON.parse('{"h":[],"\\\\n":0}');
    for (const keys of [
      ['h', '"'],
      ['h', '\n'],
      ['h', '\na'],
      ['h', '"', '\\', '', ' '],
    ]) {
      const text = JSON.stringify(Object.fromEntries(keys.map((key, index) => [key, index])));
      expect(Object.keys(parseJson(text) as object)).toEqual(keys);
      expect(Object.entries(parseBoundedJson(Buffer.from(text), 'it') as object)).toEqual(
        keys.map((key, index) => [key, index]),
      );
    }
  });

  it('is what was written, with its keys in their order', () => {
    const hard = fc.constantFrom('"', '\\', '\n', '#', '##0', '__proto__', 'a"b', '\\"', ' :', '{"');
    const value = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 3 }, hard, fc.integer(), fc.constant(null), tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc
        .uniqueArray(fc.tuple(fc.oneof(hard, fc.string()), tie('value')), { selector: ([key]) => key, maxLength: 5 })
        .map((entries) => Object.fromEntries(entries)),
    })).value;
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1), (written, indent) => {
        const text = JSON.stringify(written, null, indent);
        expect(JSON.stringify(parseJson(text), null, indent)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused where it is none', () => {
    expect(() => parseJson('{"\\"":1')).toThrow(SyntaxError);
    expect(() => parseJson('{"\\"" 1}')).toThrow(SyntaxError);
    expect(() => parseJson('{"\\x":1}')).toThrow(SyntaxError);
  });
});
