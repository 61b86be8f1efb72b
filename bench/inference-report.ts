/** What `bench -- inference` found, as text and as a section of docs/results.md. */
import { circumstances, markdownTable } from './results-page.ts';
import { loadNote, table } from './table.ts';

/** One line of the result. `rssBytes` is the whole process (Node included) after prefill 128 and decode 64; `bareBytes` is Node before loading. */
export interface InferenceRun {
  engine: 'tritsmith' | 'llama.cpp';
  type: string;
  threads: number;
  prefillTokensPerSecond: number;
  prefill512TokensPerSecond: number;
  /** 64 tokens from an empty conversation, as llama.cpp's own benchmark counts. */
  decodeTokensPerSecond: number;
  /** 64 tokens after a prompt of 128. */
  decodeAfter128TokensPerSecond: number;
  /** Tokens per second of processor time (all threads): less disturbed by other work on the machine. */
  prefillTokensPerCpuSecond: number;
  decodeTokensPerCpuSecond: number;
  rssBytes: number;
  /** Part of rssBytes that is no mapped file (Node's program text, llama.cpp's weights): null where the system doesn't tell. */
  anonymousBytes: number | null;
  bareBytes: number;
  fileBytes: number;
  loadSeconds: number;
  /** Share of the memory-bandwidth limit for the weights that a token reads. */
  bandwidthShare?: number;
}

export interface InferenceReport {
  model: string;
  runs: InferenceRun[];
  memoryBandwidthBytesPerSecond: number;
  memoryBandwidthByThreads: Record<string, number>;
  loadAverage: number;
  cores: number;
}

function resultRows(report: InferenceReport): string[][] {
  const mebi = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  return [
    [
      'engine',
      'type',
      'threads',
      'prefill 128',
      'prefill 512',
      'decode 64',
      'after 128',
      'prefill/CPU s',
      'decode/CPU s',
      'of bandwidth',
      'RSS MiB',
      'anonymous',
      'bare MiB',
      'file MiB',
      'load s',
    ],
    ...report.runs.map((r) => [
      r.engine,
      r.type,
      String(r.threads),
      r.prefillTokensPerSecond.toFixed(1),
      r.prefill512TokensPerSecond.toFixed(1),
      r.decodeTokensPerSecond.toFixed(1),
      r.decodeAfter128TokensPerSecond.toFixed(1),
      r.prefillTokensPerCpuSecond.toFixed(1),
      r.decodeTokensPerCpuSecond.toFixed(1),
      r.bandwidthShare === undefined ? '' : `${(r.bandwidthShare * 100).toFixed(0)} %`,
      mebi(r.rssBytes),
      r.anonymousBytes === null ? '' : mebi(r.anonymousBytes),
      mebi(r.bareBytes),
      mebi(r.fileBytes),
      r.loadSeconds.toFixed(2),
    ]),
  ];
}

const threadsText = (count: number): string => `${count} thread${count === 1 ? '' : 's'}`;

function notes(report: InferenceReport): string[] {
  const lines: string[] = [];
  for (const run of report.runs.filter((r) => r.engine === 'tritsmith')) {
    const peers = report.runs.filter((r) => r.type.startsWith('TQ2_0') && r.threads === run.threads);
    if (peers.length === 0) continue;
    const ratio = (
      key:
        'prefillTokensPerSecond' | 'decodeTokensPerSecond' | 'prefillTokensPerCpuSecond' | 'decodeTokensPerCpuSecond',
    ): string => (run[key] / Math.max(...peers.map((peer) => peer[key]))).toFixed(2);
    lines.push(
      `${run.type}, ${threadsText(run.threads)}, against TQ2_0, the faster of its two ways of attention for each figure: prefill ${ratio('prefillTokensPerSecond')}x, decode ${ratio('decodeTokensPerSecond')}x; by processor time ${ratio('prefillTokensPerCpuSecond')}x and ${ratio('decodeTokensPerCpuSecond')}x.`,
    );
  }
  for (const [threads, speed] of Object.entries(report.memoryBandwidthByThreads))
    lines.push(`Memory bandwidth with ${threadsText(Number(threads))}: ${(speed / 1e9).toFixed(1)} GB/s.`);
  const ownThreads = report.runs.reduce((sum, run) => sum + run.threads, 0) / report.runs.length;
  lines.push(loadNote(report.loadAverage, report.cores, ownThreads));
  return lines;
}

export function inferenceText(report: InferenceReport): string {
  return [
    `${report.model}: tokens per second, median of interleaved rounds`,
    table(resultRows(report)),
    ...notes(report),
  ].join('\n');
}

export function inferencePage(report: InferenceReport): string {
  return [
    `## Inference: ${report.model}`,
    `${circumstances()}. Tokens per second, median of interleaved rounds, each engine in a process of its own.`,
    markdownTable(resultRows(report)),
    notes(report).join(' '),
  ].join('\n\n');
}
