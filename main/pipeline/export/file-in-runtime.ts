/** An exported file as our engines take it: its values as parameters of the graph engine, and greedy text of the native runtime. */
import type { StudentModel } from '../../../native/runtime.ts';
import { argmax } from '../../basics/numbers.ts';
import { type GgufFile, openGguf } from '../../formats/gguf/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { ParameterBuffer, parameterSpecifications } from '../../models/parameters.ts';
import type { GgufPlan, GgufTensorPlan } from './gguf-layout.ts';
import { unpermuteRotaryRows } from '../../models/rotary-rows.ts';

/** The tensor's values as they are in the file, with the rows in the model's order and without padding. */
export async function valuesInFile(
  file: GgufFile,
  { name, permuteHeads, shape, padded }: GgufTensorPlan,
): Promise<Float32Array> {
  const stored = await file.readFloat32(name);
  const values = permuteHeads === null ? stored : unpermuteRotaryRows(stored, permuteHeads, shape[1] ?? 1);
  if (padded === undefined) return values;
  const { from, factor } = padded;
  const [columns, wide] = [from.at(-1)!, shape.at(-1)!];
  return Float32Array.from(
    { length: from.reduce((product, size) => product * size, 1) },
    (_, index) => values[Math.floor(index / columns) * wide + (index % columns)]! / factor,
  );
}

/** Parameters of the model in a file; `read` gives those of one tensor. */
export async function fillFromFile(
  path: string,
  plan: GgufPlan,
  configuration: ModelConfiguration,
  read: (file: GgufFile, tensor: GgufTensorPlan & { readonly source: string }) => Promise<Float32Array>,
): Promise<ParameterBuffer> {
  const parameters = new ParameterBuffer(parameterSpecifications(configuration));
  const file = await openGguf(path);
  try {
    for (const tensor of plan.tensors) {
      const { source } = tensor;
      if (typeof source === 'string') parameters.view(source).set(await read(file, { ...tensor, source }));
    }
  } finally {
    await file.close();
  }
  return parameters;
}

/** A continuation of a prompt, and the logits that each of its tokens was chosen by. */
export interface Continuation {
  readonly tokens: readonly number[];
  readonly logits: readonly Float32Array[];
}

/** Continues a prompt by `count` greedy tokens in the native runtime. */
export function continueGreedily(model: StudentModel, prompt: Int32Array, count: number): Continuation {
  model.reset();
  model.prefill(prompt);
  const tokens: number[] = [];
  const logits: Float32Array[] = [];
  for (let step = 0; step < count; step += 1) {
    if (step > 0) model.prefill(Int32Array.of(tokens[step - 1]!));
    logits.push(model.lastLogits());
    tokens.push(argmax(logits[step]!));
  }
  return { tokens, logits };
}
