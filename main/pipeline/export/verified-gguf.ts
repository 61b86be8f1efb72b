/** A GGUF export with its proofs: written under a draft name, read back, parsed by another reader, run beside the graph engine, then named. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { tell, type Told } from '../../contract/messages/told.ts';
import type { ExportCheck, ExportedFile } from '../../contract/results.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import { encodingFor, type GgufEncoding } from './gguf-encoding.ts';
import { type GgufModel, writeGgufModel } from './gguf-file.ts';
import { readBackGguf } from './gguf-readback.ts';
import { compareWithLlamaCpp, llamaCppCheck } from './llama-cpp-check.ts';
import { llamaCppVerdict, type Verdict } from './run-verdicts.ts';
import { compareWithGraph, parametersOfFile, type RuntimeAgreement } from './runtime-check.ts';

export interface VerifiedGguf {
  readonly architecture: string;
  readonly bodyBytes: number;
  readonly fileBytes: number;
  readonly zeroFraction: number;
  readonly checks: readonly ExportCheck[];
  readonly notes: readonly Told[];
  readonly untried: NonNullable<ExportedFile['untried']>;
}

export interface VerificationOptions {
  /** Prompts for the runtime check; none: it is left out. */
  readonly prompts: readonly Int32Array[];
  readonly threads: number;
  /** `done` of `total` units; may throw to stop. */
  readonly onProgress: (done: number, total: number) => Promise<void>;
}

export interface GgufVerificationOptions extends VerificationOptions {
  /** Folder of llama.cpp, in which the file is then run too where it can be; null: it is not installed. */
  readonly llamaCpp: string | null;
}

/** Whether the file is proven in the native runtime. It runs Q4_0 too, but those are for llama.cpp, to compare speeds. */
export function runsInTritsmith(encoding: GgufEncoding): boolean {
  return encoding.linear !== 'Q4_0';
}

/**
 * Logits of runtime and graph engine may differ by float32 rounding (a ten-thousandth of the largest logit; a thousandth where weights
 * of 8 or 6 bits meet rounded activations), and where an int8 rounding falls the other way because of it, by a few times what such a
 * rounding was seen to do in the graph engine itself.
 */
function allowedDifference({ largestLogit, sensitivity }: RuntimeAgreement, encoding: GgufEncoding): number {
  const rounds = /^Q/.test(encoding.linear) || /^Q/.test(encoding.embedding);
  return Math.max((rounds ? 1e-3 : 1e-4) * Math.max(1, largestLogit), 3 * sensitivity);
}

/** Tensor names, shapes and types as `@huggingface/gguf` reads them, against our own reader. */
export async function parserCheck(path: string): Promise<ExportCheck> {
  // Loaded here: it brings 70 modules, which a worker that exports nothing does not need.
  const { gguf } = await import('@huggingface/gguf');
  const theirs = await gguf(path, { allowLocalFile: true });
  const ours = await openGguf(path);
  try {
    const list = theirs.tensorInfos.map(
      ({ name, shape, dtype }) => `${name} ${[...shape].reverse().join('x')} ${Number(dtype)}`,
    );
    const expected = [...ours.tensors].map(([name, { shape, typeId }]) => `${name} ${shape.join('x')} ${typeId}`);
    const passed = list.join('\n') === expected.join('\n');
    const figures = { tensors: list.length, keys: ours.metadata.size };
    return {
      name: 'parser',
      passed,
      ...(passed ? tell('proof.parser', figures) : tell('proof.parser-differs')),
      figures,
    };
  } finally {
    await ours.close();
  }
}

function runtimeCheck(found: RuntimeAgreement, encoding: GgufEncoding): ExportCheck {
  const { prompts, tokens, sameTokens, unexplainedTokens, largestDifference, exactShare, sensitivity } = found;
  return {
    name: 'runtime',
    passed: unexplainedTokens === 0 && largestDifference <= allowedDifference(found, encoding),
    ...tell('proof.runtime', { prompts, tokens, sameTokens, largestDifference, exactShare, sensitivity }),
    figures: { ...found },
  };
}

function refuseFailed(path: string, check: ExportCheck): void {
  if (check.passed) return;
  throw new TritsmithError('damaged', 'export.check-failed', { path, check: check.name, found: check });
}

async function openVerdict(path: string): Promise<Verdict> {
  const file = await openGguf(path);
  try {
    return llamaCppVerdict(file);
  } finally {
    await file.close();
  }
}

/**
 * Writes `path` and proves it. The caller gives a draft name and renames or removes the file.
 * @throws TritsmithError `unsupported` for a model that the format can't hold, `damaged` when a check fails
 */
export async function writeVerifiedGguf(
  path: string,
  model: GgufModel,
  asked: GgufEncoding,
  { prompts, threads, llamaCpp, onProgress }: GgufVerificationOptions,
): Promise<VerifiedGguf> {
  const encoding = encodingFor(model.configuration, asked);
  const runs = prompts.length > 0 && runsInTritsmith(encoding);
  // A file of our own is written for our runtime alone, even where its type is one that llama.cpp knows.
  const forOthers = prompts.length > 0 && !encoding.own;
  const inLlamaCpp = forOthers && llamaCpp !== null;
  const promptUnits = (runs ? prompts.length : 0) + (inLlamaCpp ? prompts.length : 0);
  let written = 0;
  const { plan, notes } = await writeGgufModel(path, model, asked, (done, tensors) => {
    written = tensors;
    return onProgress(done, tensors * 2 + promptUnits);
  });
  const total = written + plan.tensors.length + promptUnits;
  const readBack = await readBackGguf(path, plan, model.tensors, encoding, (done) => onProgress(written + done, total));
  const ternary = readBack.ternaryTensors;
  const checks: ExportCheck[] = [
    {
      name: 'tensors',
      passed: true,
      ...tell('proof.tensors', { tensors: readBack.tensors, ternary, largestLoss: readBack.largestLoss }),
      figures: { tensors: readBack.tensors, ternaryTensors: ternary, largestLoss: readBack.largestLoss },
    },
    await parserCheck(path),
  ];
  if (runs) {
    const parameters = await parametersOfFile(path, plan, model.configuration, model.tensors);
    const found = await compareWithGraph(path, model.configuration, parameters, prompts, threads, (done) =>
      onProgress(written + plan.tensors.length + done, total),
    );
    checks.push(runtimeCheck(found, encoding));
  }
  const verdict = await openVerdict(path);
  const untried: VerifiedGguf['untried'] = [];
  if (verdict.runs && forOthers) {
    if (llamaCpp === null) {
      const { text: reason, ...said } = tell('untried.not-installed');
      untried.push({ program: 'llama.cpp', reason, ...said });
    } else {
      const before = total - prompts.length;
      const subject = { path, ours: path, plan, configuration: model.configuration, encoding };
      const found = await compareWithLlamaCpp(llamaCpp, subject, { prompts, threads }, (done) =>
        onProgress(before + done, total),
      );
      checks.push(llamaCppCheck(found));
    }
  }
  for (const check of checks) refuseFailed(path, check);
  return {
    architecture: plan.architecture,
    bodyBytes: readBack.bodyBytes,
    fileBytes: (await stat(path)).size,
    zeroFraction: readBack.zeroFraction,
    checks,
    notes,
    untried,
  };
}
