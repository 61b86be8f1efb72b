import { expect, it } from 'vitest';
import { fromMessageText, toMessageText } from './message-text.ts';

it('carries JSON whole, and the numbers that JSON lacks', () => {
  const message = {
    type: 'metrics',
    values: { loss: NaN, up: Infinity, down: -Infinity, zero: 0 },
    list: [NaN, null, ''],
  };
  const text = toMessageText(message);
  expect(text).not.toContain('NaN,');
  expect(fromMessageText(text)).toEqual(message);
});

it('refuses what is no message', () => {
  expect(() => fromMessageText('{')).toThrow(SyntaxError);
});
