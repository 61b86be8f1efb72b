/** Which programs run a GGUF file: ours by loading it, the others by what is in it (docs/formats.md, 3). */
import { loadModel } from '../../../native/runtime.ts';
import { message, type Message, type MessageId, type ParamsOf, render } from '../../contract/messages/message.ts';
import type { RunVerdict } from '../../contract/queries.ts';
import type { GgufFile } from '../../formats/gguf/index.ts';
import { ggufArchitecture, ownPrefix } from '../../models/architectures/gguf.ts';

export type Verdict = Omit<RunVerdict, 'program'>;

/** A verdict as a message of the catalogue; its text is for programs that read the report. */
function verdict(runs: boolean, said: Message): Verdict {
  return { runs, reason: render(said).message, ...said };
}
export const yes = <Id extends MessageId>(id: Id, ...params: ParamsOf<Id>): Verdict =>
  verdict(true, message(id, ...params));
export const no = <Id extends MessageId>(id: Id, ...params: ParamsOf<Id>): Verdict =>
  verdict(false, message(id, ...params));
const loads = ({ architecture }: Facts): Verdict => yes('verdict.loads', { architecture });

function ours(path: string): Verdict {
  try {
    const model = loadModel(path, { contextLength: 16 });
    const { architecture, kernel } = model.info;
    model.close();
    return yes('verdict.loaded', { architecture, kernel });
  } catch (error) {
    return no('foreign', { message: (error as Error).message });
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
  if (!preTokenizer) return no('verdict.no-pre-tokenizer');
  if (!architecture.startsWith('bitnet')) return null;
  if (!has(/attn_sub_norm/)) return no('verdict.bitnet-sub-norms');
  if (has(/^output\.weight$/)) return no('verdict.bitnet-head');
  if (has(/^rope_freqs/)) return no('verdict.bitnet-rope');
  return null;
}

/** Whether llama.cpp runs a file that is open, and why. */
export function llamaCppVerdict(file: GgufFile): Verdict {
  return llama(factsOf(file));
}

function llama(facts: Facts): Verdict {
  if (facts.architecture.startsWith(ownPrefix))
    return no('verdict.own-architecture', { architecture: facts.architecture });
  const unknown = ggufArchitecture(facts.architecture) === null || facts.architecture.startsWith('bitnet-');
  if (facts.types.has('I2_S') && !unknown) return no('verdict.i2s-for-bitnet-cpp');
  if (facts.types.has('type 142') || facts.types.has('type 143')) return no('verdict.types-of-a-fork');
  if (facts.has(/_norm_in\.weight$/)) return no('verdict.no-place-for-subln');
  if (unknown) return no('verdict.unknown-architecture', { architecture: facts.architecture });
  if (facts.architecture === 'phi3' && facts.has(/ffn_gate\.weight$/)) return no('verdict.phi3-apart');
  if (facts.has(/\.scale$/) && !ggufArchitecture(facts.architecture)!.appliesScales)
    return facts.architecture === 'qwen2'
      ? no('verdict.qwen2-scales')
      : no('verdict.scales-left-out', { architecture: facts.architecture });
  const obstacle = sharedObstacle(facts);
  if (obstacle !== null) return obstacle;
  if (facts.types.has('Q2_0')) return yes('verdict.q2-needs-recent');
  return facts.has(/\.scale$/) ? yes('verdict.scales-apart') : loads(facts);
}

function bitnet(facts: Facts): Verdict {
  if (facts.architecture.startsWith(ownPrefix))
    return no('verdict.own-architecture', { architecture: facts.architecture });
  if (facts.oddRow !== null) return no('verdict.odd-row', { tensor: facts.oddRow });
  const newer = facts.has(/_norm_in\.weight$/);
  const known = ggufArchitecture(facts.architecture);
  if (newer && !(known?.inBitnetCpp && known.subln === 'norm-in')) return no('verdict.subln-families');
  if (!facts.types.has('I2_S')) return no('verdict.only-i2s');
  if (facts.has(/\.scale$/)) return no('verdict.scales-beside-i2s');
  if (facts.architecture === 'qwen2' && facts.has(/attn_sub_norm/)) return no('verdict.bias-beside-subln');
  const obstacle = sharedObstacle(facts);
  if (obstacle !== null) return obstacle;
  if (facts.architecture.startsWith('bitnet-'))
    return yes('verdict.squared-relu', { architecture: facts.architecture });
  return newer ? yes('verdict.recent-branch') : loads(facts);
}

/** Verdicts on a GGUF file that is open. */
export function ggufVerdicts(file: GgufFile): RunVerdict[] {
  const facts = factsOf(file);
  return [
    { program: 'Tritsmith', ...ours(file.path) },
    { program: 'bitnet.cpp', ...bitnet(facts) },
    { program: 'llama.cpp', ...llama(facts) },
    { program: 'transformers', ...no('verdict.only-folders') },
  ];
}
