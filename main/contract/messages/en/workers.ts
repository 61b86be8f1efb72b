/** Worker processes: how they die, and what they say that nobody understands. */
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

const onward = {
  again: 'Try again.',
  resume: 'Resume the experiment: it goes on from its last checkpoint.',
};

interface Death {
  /** Why it could not even be started. */
  startError?: string | undefined;
  signal: string | null;
  code: number | null;
  onward: keyof typeof onward;
}

interface Smaller {
  /** What it is now, where the job trains. */
  microBatchTokens: number | null;
  maxLength: number;
  recomputes: boolean;
  byteMoments?: boolean | undefined;
}

/** Which settings to lower. */
function smaller({ microBatchTokens, maxLength, recomputes, byteMoments }: Smaller, names: Names): string {
  const shorter = `${names.setting('task.maxLength')} below ${maxLength}`;
  if (microBatchTokens === null) return `${shorter} or a smaller model`;
  const tokens =
    microBatchTokens > 64
      ? `${names.setting('optimiser.microBatchTokens')} at ${Math.max(64, Math.floor(microBatchTokens / 2))} instead of ${microBatchTokens}`
      : shorter;
  if (!recomputes) return `${tokens}, or with ${names.setting('recomputeActivations')} switched on`;
  return byteMoments
    ? `${tokens}, or a smaller model`
    : `${tokens}, or with ${names.setting('optimiser.moments')} at “8-bit”`;
}

export const workers = {
  'worker.died': ({ startError, signal, code, onward: way }: Death, names: Names): Sentences => {
    const how =
      startError !== undefined
        ? `It could not be started: ${startError}`
        : signal !== null
          ? `The system or another program ended it (${signal})`
          : `Exit code ${String(code)}`;
    const memory = signal === 'SIGKILL' || signal === 'SIGABRT' || code === 134 || code === 137;
    return {
      message: 'The worker process ended in the middle of its work.',
      reason: memory ? `${how}: systems do this when memory runs out.` : how,
      remedy: memory
        ? `${onward[way]} If it happens again, lower ${names.setting('optimiser.microBatchTokens')} or switch ${names.setting('recomputeActivations')} on.`
        : onward[way],
    };
  },
  /** `how`: what the process said itself, or who ended it and what it held (bytes, where known). */
  'memory.ran-out-in-job': (
    {
      job,
      how,
      smaller: settings,
    }: {
      job: string;
      how:
        | { by: 'itself'; said: string }
        | { by: 'system'; held: number | null; machine: number }
        | { by: 'allocation'; held: number | null };
      smaller: Smaller;
    },
    names: Names,
  ): Sentences => {
    const held = how.by === 'itself' || how.held === null ? '' : `; the worker held up to ${bytesInWords(how.held)}`;
    return {
      message: `The memory ran out during ${job}.`,
      reason:
        how.by === 'itself'
          ? how.said
          : how.by === 'system'
            ? `The system ended it to free memory${held} of this machine's ${bytesInWords(how.machine)}.`
            : `An allocation failed${held}.`,
      remedy: `End other programs and resume; what the last checkpoint holds is kept. Or start it again with ${smaller(settings, names)}.`,
    };
  },
  'worker.unexpected-answer': ({ question }: { question: string }): Sentences => ({
    message: `The worker's answer to "${question}" has an unexpected shape.`,
  }),
  'worker.strange-result': ({ kind }: { kind: string }): Sentences => ({
    message: `The result of "${kind}" has an unexpected shape.`,
  }),
  'worker.unknown-command': (): Sentences => ({
    message: 'The worker was told something that is not in the protocol.',
  }),
  'worker.second-command': (): Sentences => ({ message: 'The worker was given a second command.' }),
  'helper.died': (): Sentences => ({
    message: 'The process that runs the model ended without a word.',
    remedy: 'Try again. If it happens again, there may be too little memory for this model.',
  }),
  'window.workbench-not-started': (): Sentences => ({
    message: 'The workbench could not be started.',
    reason: 'Its process ended without a word.',
    remedy:
      'Start Tritsmith again. If it happens again, open it in the browser: npm run serve, or in an archive the start script with --no-browser.',
  }),
  'helper.no-answer': ({ question }: { question: string }): Sentences => ({
    message: `The process did not answer "${question}".`,
  }),
};
