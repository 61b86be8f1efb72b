/** Which programs run a GGUF file: ours by loading it, the others by what is in it (docs/formats.md, 3). */
import { loadModel } from '../../../native/runtime.ts';
import type { RunVerdict } from '../../contract/queries.ts';
import type { GgufFile } from '../../formats/gguf/index.ts';

export type Verdict = Omit<RunVerdict, 'program'>;

const no = (reason: string): Verdict => ({ runs: false, reason });
const yes = (reason: string): Verdict => ({ runs: true, reason });
const loads = ({ architecture }: Facts): string => `It loads "${architecture}" models of these tensor types.`;

function ours(path: string): Verdict {
  try {
    const model = loadModel(path, { contextLength: 16 });
    const { architecture, kernel } = model.info;
    model.close();
    return yes(`It loads as "${architecture}" (kernel ${kernel}).`);
  } catch (error) {
    return no((error as Error).message);
  }
}

interface Facts {
  readonly architecture: string;
  readonly types: ReadonlySet<string>;
  readonly has: (pattern: RegExp) => boolean;
  readonly preTokenizer: boolean;
  /** A ternary matrix whose rows are no multiple of 128. */
  readonly oddRow: string | null;
}

function factsOf(file: GgufFile): Facts {
  const names = [...file.tensors.keys()];
  const text = (key: string): string => String(file.metadata.get(key)?.value ?? '');
  const odd = [...file.tensors].find(([, { type, shape }]) => type === 'I2_S' && shape.at(-1)! % 128 !== 0);
  return {
    architecture: text('general.architecture'),
    types: new Set([...file.tensors.values()].map(({ type }) => type)),
    has: (pattern) => names.some((name) => pattern.test(name)),
    preTokenizer: text('tokenizer.ggml.model') !== 'gpt2' || text('tokenizer.ggml.pre') !== '',
    oddRow: odd?.[0] ?? null,
  };
}

/** What llama.cpp and bitnet.cpp have in common: the `bitnet` architecture and the tokenizer. */
function sharedObstacle({ architecture, has, preTokenizer }: Facts): Verdict | null {
  if (!preTokenizer) return no('It names no pre-tokenizer (tokenizer.ggml.pre), so text would be split wrongly.');
  if (architecture !== 'bitnet') return null;
  if (!has(/attn_sub_norm/)) return no('A "bitnet" file needs attn_sub_norm and ffn_sub_norm.');
  if (has(/^output\.weight$/)) return no('A "bitnet" file may have no head of its own (output.weight).');
  if (has(/^rope_freqs/)) return no('A "bitnet" file may have no rope scaling (rope_freqs).');
  return null;
}

/** Whether llama.cpp runs a file that is open, and why. */
export function llamaCppVerdict(file: GgufFile): Verdict {
  return llama(factsOf(file));
}

function llama(facts: Facts): Verdict {
  if (facts.types.has('I2_S'))
    return no('Tensor type 36 (I2_S) is known to bitnet.cpp alone; export TQ2_0 for llama.cpp.');
  if (facts.has(/_norm_in\.weight$/)) return no('It has no place for SubLN (*_norm_in) in this architecture.');
  if (!['llama', 'bitnet', 'qwen2', 'qwen3', 'gemma3'].includes(facts.architecture))
    return no(`Not known here for the architecture "${facts.architecture}".`);
  if (facts.architecture === 'qwen2' && facts.has(/ffn_(gate|up|down)\.scale$/))
    return no('Its "qwen2" leaves the scales of the feed-forward layers out; export again, as "llama".');
  return (
    sharedObstacle(facts) ??
    yes(facts.has(/\.scale$/) ? 'Its scales are in tensors of their own, which llama.cpp applies.' : loads(facts))
  );
}

function bitnet(facts: Facts): Verdict {
  if (facts.oddRow !== null) return no(`Rows of ${facts.oddRow} are no multiple of 128; products would be wrong.`);
  const newer = facts.has(/_norm_in\.weight$/);
  if (newer && facts.architecture !== 'qwen3' && facts.architecture !== 'gemma3')
    return no('SubLN (*_norm_in) is read for qwen3 and gemma3 alone.');
  if (!facts.types.has('I2_S')) return no('It is meant for ternary I2_S files; other types are for llama.cpp.');
  if (facts.architecture === 'qwen2' && facts.has(/attn_sub_norm/)) return no('QKV bias beside SubLN is not loaded.');
  return sharedObstacle(facts) ?? yes(newer ? 'With the main branch of July 2026 or later.' : loads(facts));
}

/** Verdicts on a GGUF file that is open. */
export function ggufVerdicts(file: GgufFile): RunVerdict[] {
  const facts = factsOf(file);
  return [
    { program: 'Tritsmith', ...ours(file.path) },
    { program: 'bitnet.cpp', ...bitnet(facts) },
    { program: 'llama.cpp', ...llama(facts) },
    { program: 'transformers', ...no('It reads Hugging Face folders; export the type "hf".') },
  ];
}
