/** Estimates in words: each sentence is written from the terms that were added up, so it cannot say anything else. */
import type { RecipeEstimate } from '../views.ts';
import {
  type DiskTerm,
  type MemoryTerm,
  type ModelForecast,
  type RecipeForecast,
  type ResourceTerm,
  sumOf,
} from '../estimates.ts';
import type { JobKind } from '../jobs.ts';

const stageNames: Record<JobKind, string> = {
  finetune: 'fine-tuning of the teacher',
  refine: 'Stage 1',
  pretrain: 'Stage 2',
  distil: 'Stage 3',
  baseline: 'BitNet-SFT',
  evaluate: 'evaluation',
  export: 'export',
  'measure-teacher': 'measuring the teacher',
  'measure-baseline': 'measuring BitNet-SFT',
  'measure-student': 'measuring the student',
  'four-bit': '4-bit teacher',
};

/** 596 million, 1.72 billion, 4,096: three digits from a million on. */
function count(value: number): string {
  if (value >= 999.5e6) return `${digits(value / 1e9)} billion`;
  if (value >= 1e6) return `${digits(value / 1e6)} million`;
  return Math.round(value).toLocaleString('en');
}

function size(bytes: number): string {
  if (bytes >= 999.5e6) return `${digits(bytes / 1e9)} GB`;
  if (bytes >= 999.5e3) return `${digits(bytes / 1e6)} MB`;
  return `${digits(bytes / 1e3)} kB`;
}

function digits(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 6 });
}

type Texts<Term extends { id: string }> = { [Id in Term['id']]: (term: Extract<Term, { id: Id }>) => string };

const memoryTexts: Texts<MemoryTerm> = {
  trained: ({ params }) =>
    `${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes (weight, gradient, two moments)`,
  teacher: ({ params }) => `${count(params.parameters)} parameters of the teacher × ${digits(params.bytesEach)} bytes`,
  ternary: ({ params }) =>
    `${count(params.parameters)} weights that become ternary × ${digits(params.bytesEach)} bytes more`,
  activations: ({ params }) =>
    `activations of ${count(params.tokens)} tokens at once in ${digits(params.layers)} layers${params.recomputed ? ', recomputed' : ''}`,
  sessions: ({ params }) => `working space for ${count(params.tokens)} tokens, ${digits(params.layers)} layers’ worth`,
  relation: ({ params }) =>
    `matrices of the attention term for ${digits(params.heads)} heads and rows of ${count(params.rowLength)} tokens`,
  logits: ({ params }) =>
    `${digits(params.buffers)} buffers of ${count(params.rows)} positions × ${count(params.vocabulary)} logits`,
  'head-gradient': ({ params }) =>
    `${digits(params.buffers)} more of the head’s gradient (${count(params.parameters)} weights)`,
  engine: () => 'the engine',
};

const diskTexts: Texts<DiskTerm> = {
  checkpoints: ({ params }) =>
    `${digits(params.generations)} of ${stageNames[params.stage]} with ${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  'checkpoint-in-writing': ({ params }) => `${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  model: ({ params }) =>
    `of ${stageNames[params.stage]} with ${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  tokens: ({ params }) => `${count(params.tokens)} for ${stageNames[params.stage]}`,
  export: ({ params, bytes }) => `${params.model} as ${params.type} ${size(bytes)}`,
  download: ({ params }) => `${count(params.files)} files`,
};

/** What terms of one kind are together. */
const diskHeads: Record<DiskTerm['id'], string> = {
  checkpoints: 'checkpoints (the last and, once there are several, the one before; they stay)',
  'checkpoint-in-writing': 'one more checkpoint while it is written',
  model: 'model folders',
  tokens: 'rows and corpus as tokens',
  export: 'exports',
  download: 'download',
};

// Each text takes the term of its own id, which the compiler cannot follow through a lookup.
function textOf<Term extends { id: string }>(texts: Texts<Term>, term: Term): string {
  return (texts[term.id as Term['id']] as (term: Term) => string)(term);
}

/** Where the bytes of a training step come from. */
export function memoryText(terms: readonly MemoryTerm[]): string {
  const parts = terms.map((term) => `${textOf(memoryTexts, term)}: ${size(term.bytes)}`);
  return `${parts.join('; ')}. Together ${size(sumOf(terms))}.`;
}

/** Where the bytes of a run’s folder come from, terms of a kind together. */
export function diskText(terms: readonly DiskTerm[]): string {
  const parts = [...new Set(terms.map(({ id }) => id))].map((id) => {
    const same = terms.filter((term) => term.id === id);
    return `${diskHeads[id]}: ${same.map((term) => textOf(diskTexts, term)).join(', ')}: ${size(sumOf(same))}`;
  });
  return `${parts.join('; ')}. Together ${size(sumOf(terms))}.`;
}

function isMemory(term: ResourceTerm): term is MemoryTerm {
  return term.id in memoryTexts;
}

export function memoryOf({ stage, terms }: RecipeEstimate['memory']): string {
  return `Most memory is taken by ${stageNames[stage]}: ${memoryText(terms.filter(isMemory))}`;
}

export function diskOf({ terms }: RecipeEstimate['disk']): string {
  return diskText(terms.filter((term): term is DiskTerm => !isMemory(term)));
}

const gigaflops = (speed: number): string => digits(speed / 1e9);

function seconds(value: number): string {
  return value < 10 ? digits(value) : count(value);
}

/** Where the seconds of a recipe come from. */
export function timeText({ stages, basis }: RecipeForecast): string {
  const { speed, cores, overhead, measured } = basis;
  const tokens = stages.reduce((sum, stage) => sum + (stage.steps > 0 ? stage.tokens : 0), 0);
  const work = stages.reduce((sum, stage) => sum + stage.work, 0);
  const trained = stages
    .filter(({ steps }) => steps > 0)
    .map(
      (stage) =>
        `${stageNames[stage.kind]} ${count(stage.steps)} steps, ${seconds(stage.seconds.low)} to ${seconds(stage.seconds.high)} s`,
    );
  const whole = `${count(tokens)} tokens in all stages make ${count(work / 1e9)} thousand million operations, weighted by what each stage costs`;
  const rest = `${digits(overhead.low)} to ${digits(overhead.high)} s more for each of ${digits(stages.length)} jobs`;
  const from =
    measured === null
      ? `${whole}, at ${gigaflops(speed.low / cores)} to ${gigaflops(speed.high / cores)} GFLOP/s for each of ${digits(cores)} cores; ${rest}. A rehearsal replaces this guess by a measurement.`
      : `${digits(measured.steps)} steps took ${digits(measured.secondsPerStep)} s each here, ${count(measured.tokensPerSecond)} tokens/s; ${whole}, at ${gigaflops(speed.low)} to ${gigaflops(speed.high)} GFLOP/s, from 40 % slower to a fifth faster than measured; ${rest}.`;
  return `${from} (${trained.join('; ')}.)`;
}

/** What the doctor says of memory. `models`: published ones, smallest first; `largest`: the last of them that fits. */
export function largestModelText(models: readonly ModelForecast[], largest: ModelForecast | undefined): string {
  const smallest = models[0];
  const why = 'one row of 512 tokens at a time, 10 % of the memory kept free';
  if (largest !== undefined)
    return `The largest Qwen3 that can be distilled here is ${largest.name}: ${size(sumOf(largest.memory))} (${why}). ${memoryText(largest.memory)}`;
  if (smallest === undefined) return 'What fits cannot be told, because the training engine does not load.';
  return `Too little to distil ${smallest.name} (${size(sumOf(smallest.memory))}, ${why}); smaller models fit. ${memoryText(smallest.memory)}`;
}

/** What the doctor says of the disk beside a run of `model`. */
export function roomText({ name, disk }: ModelForecast, freeBytes: number): string {
  const needed = `a run of ${name} with every stage keeps ${size(sumOf(disk))} of checkpoints and models`;
  return freeBytes < sumOf(disk) ? `Enough for small students; ${needed}.` : `Enough: ${needed}.`;
}
