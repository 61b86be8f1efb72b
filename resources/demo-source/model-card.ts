/** README and LICENSE of the demo teacher's folder. */
import type { ParameterCounts } from '../../main/models/parameters.ts';

export function modelCard(facts: {
  readonly parameters: ParameterCounts;
  readonly steps: number;
  readonly tokens: number;
  readonly loss: number;
}): string {
  const { parameters, steps, tokens, loss } = facts;
  const count = (value: number): string => value.toLocaleString('en-GB');
  return `---
license: mit
language: en
pipeline_tag: text-generation
---

# Demo base model

A Qwen3-shaped base model of ${count(parameters.total)} parameters (${count(parameters.body)} in the linear layers, ${count(parameters.embedding)} in the
tied embedding), made for Tritsmith's demo and tests. It knows the small world of one mail-order shop and nothing else.

- Made by \`resources/demo-source/make-teacher.ts\` with this repository's own trainer, from random weights: ${count(steps)} steps,
  ${count(tokens)} tokens of the corpus that \`resources/demo-source/make-data.ts --pretraining-corpus\` writes (about 1.05 million tokens,
  so each is read about three times). Mean training loss over the last tenth of the steps: ${loss.toFixed(3)} nats per token.
- The corpus is text from a grammar, written for this purpose; no text by others and no personal data is in it. No labelled row and
  no row of the demo's evaluation set is in it either.
- Byte-level BPE of 1 536 tokens, context 256, weights in BF16.
- It has not seen the task: the demo's first stage fine-tunes it.
- Licence: MIT, as the repository.
`;
}

export const license = `MIT License

Copyright (c) 2026 The Tritsmith authors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do
so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;
