/** Estimates, and what a machine can do: each sentence of an estimate is written from the terms that were added up, so it cannot say anything else. */
import type { DiskTerm, MemoryTerm, ModelForecast, RecipeForecast, ResourceTerm } from '../../estimates.ts';
import type { JobKind } from '../../jobs.ts';
import { bytesInWords, percent, sumOf } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Say, Sentences, Told } from '../sentences.ts';

const stageNames: Record<JobKind, string> = {
  finetune: 'fine-tuning of the teacher',
  cut: 'the cut',
  refine: 'Stage 1',
  calibrate: 'the calibration',
  reconstruct: 'the reconstruction',
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

function digits(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 6 });
}

type Texts<Term extends { id: string }> = { [Id in Term['id']]: (term: Extract<Term, { id: Id }>) => string };

const memoryTexts: Texts<MemoryTerm> = {
  trained: ({ params }) =>
    `${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes (weight, gradient, two moments${params.moments === undefined ? '' : ' in a byte each'})`,
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
  'shard-sums': ({ params }) =>
    `${digits(params.buffers)} more gradients of ${count(params.parameters)} parameters, because the step is in shards`,
  'exchange-rests': ({ params }) =>
    `what rounding leaves out of ${digits(params.parts)} gradients, and of the change of ${count(params.parameters)} parameters (roundedExchange)`,
  layer: ({ params }) =>
    `${count(params.parameters)} parameters of a layer × ${digits(params.bytesEach)} bytes (as they were, as they are rounded, as they compute)`,
  moments: ({ params }) =>
    `${digits(params.matrices)} matrices of ${count(params.width)} × ${count(params.width)} second moments in double`,
  engine: () => 'the engine',
};

const diskTexts: Texts<DiskTerm> = {
  'checkpoint-files': ({ params }) =>
    `${digits(params.generations)} of ${stageNames[params.stage]} with ${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  'best-step': ({ params }) =>
    `of ${stageNames[params.stage]} with ${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  'checkpoint-in-writing': ({ params }) => `${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  model: ({ params }) =>
    `of ${stageNames[params.stage]} with ${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  'hidden-states': ({ params }) =>
    `${digits(params.files)} files of ${count(params.tokens)} tokens × ${count(params.width)} float32 values`,
  taught: ({ params }) => `${count(params.tokens)} tokens × ${digits(params.bytesEach)} bytes`,
  'layer-files': ({ params }) => `${count(params.parameters)} parameters × ${digits(params.bytesEach)} bytes`,
  tokens: ({ params }) => `${count(params.tokens)} for ${stageNames[params.stage]}`,
  export: ({ params, bytes }) => `${params.model} as ${params.type} ${bytesInWords(bytes)}`,
  download: ({ params }) => `${count(params.files)} files`,
};

/** What terms of one kind are together. */
const diskHeads: Record<DiskTerm['id'], string> = {
  'checkpoint-files':
    'checkpoints (the last and, once there are several, the one before; until their stage is done, so those of the largest stage count)',
  'best-step': 'the best step so far',
  'checkpoint-in-writing': 'one more checkpoint while it is written',
  model: 'model folders',
  taught: 'what the teacher gave of each row (removed after distillation)',
  'hidden-states': 'hidden states between the layers (removed after the stage)',
  'layer-files': 'layers that are calibrated (removed after the calibration)',
  tokens: 'rows and corpus as tokens',
  export: 'exports',
  download: 'download',
};

// Each text takes the term of its own id, which the compiler cannot follow through a lookup.
function textOf<Term extends { id: string }>(texts: Texts<Term>, term: Term): string {
  return (texts[term.id as Term['id']] as (term: Term) => string)(term);
}

/** Where the bytes of a training step come from. */
function memoryText(terms: readonly MemoryTerm[]): string {
  const parts = terms.map((term) => `${textOf(memoryTexts, term)}: ${bytesInWords(term.bytes)}`);
  return `${parts.join('; ')}. Together ${bytesInWords(sumOf(terms))}.`;
}

/** Where the bytes of a run’s folder come from, terms of a kind together. */
function diskText(terms: readonly DiskTerm[]): string {
  const parts = [...new Set(terms.map(({ id }) => id))].map((id) => {
    const same = terms.filter((term) => term.id === id);
    return `${diskHeads[id]}: ${same.map((term) => textOf(diskTexts, term)).join(', ')}: ${bytesInWords(sumOf(same))}`;
  });
  return `${parts.join('; ')}. Together ${bytesInWords(sumOf(terms))}.`;
}

function isMemory(term: ResourceTerm): term is MemoryTerm {
  return term.id in memoryTexts;
}

const gigaflops = (speed: number): string => digits(speed / 1e9);

function seconds(value: number): string {
  return value < 10 ? digits(value) : count(value);
}

/** Where the seconds of a recipe come from. */
function timeText({ stages, basis }: Pick<RecipeForecast, 'stages' | 'basis'>): string {
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

/** What takes most of the memory. */
function mostText(terms: readonly MemoryTerm[]): string {
  return [...terms]
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, 1)
    .map((most) => ` Most of it: ${textOf(memoryTexts, most)}, ${bytesInWords(most.bytes)}.`)
    .join('');
}

/** What follows from the memory. `models`: published ones, smallest first; `largest`: the last of them that fits. */
function largestModelText(models: readonly ModelForecast[], largest: ModelForecast | undefined): string {
  const smallest = models[0];
  const why = 'one row of 512 tokens at a time, 10 % of the memory kept free';
  if (largest !== undefined)
    return `The largest Qwen3 that can be distilled here is ${largest.name}: ${bytesInWords(sumOf(largest.memory))} (${why}).${mostText(largest.memory)}`;
  if (smallest === undefined) return 'What fits cannot be told, because the training engine does not load.';
  return `Too little to distil ${smallest.name} (${bytesInWords(sumOf(smallest.memory))}, ${why}); smaller models fit.${mostText(smallest.memory)}`;
}

/** What follows from the disk beside a run of `model`. */
function roomText({ name, disk }: ModelForecast, freeBytes: number): string {
  const needed = `a run of ${name} with every stage takes ${bytesInWords(sumOf(disk))} for models and checkpoints`;
  return freeBytes < sumOf(disk) ? `Enough for small students; ${needed}.` : `Enough: ${needed}.`;
}

const kernelTexts = {
  'dot-products': 'Integer dot products in hardware: the fastest kernels run.',
  avx2: 'The AVX2 kernels run: about half the speed of VNNI.',
  neon: 'The NEON kernels run.',
  portable: 'Only the portable kernels run: exact, but slow.',
};

export const estimates = {
  /** What a recipe takes. `stage`: the one that takes most memory. */
  'estimate.memory': ({ stage, terms }: { stage: JobKind; terms: readonly ResourceTerm[] }): Sentences => ({
    message: `Most memory is taken by ${stageNames[stage]}: ${memoryText(terms.filter(isMemory))}`,
  }),
  'estimate.disk': ({ terms }: { terms: readonly ResourceTerm[] }): Sentences => ({
    message: diskText(terms.filter((term): term is DiskTerm => !isMemory(term))),
  }),
  'estimate.time': ({ stages, basis }: Pick<RecipeForecast, 'stages' | 'basis'>): Sentences => ({
    message: timeText({ stages, basis }),
  }),

  /** `travel`: how far a ternary weight can move in the stage, in bins. */
  'estimate.codes-stay': ({ stage, travel }: { stage: JobKind; travel: number }, names: Names): Sentences => ({
    message: `In ${stageNames[stage]} a ternary weight can move at most ${percent(travel)} of the width of a bin, so few of them will change.`,
    reason: 'The learning rate is small beside the weights of this model, or the steps are few.',
    remedy: `Set ${names.setting('optimiser.ternaryRate')} to "auto" for this stage, or let it train longer.`,
  }),

  // What the doctor finds: the finding, and what follows from it.
  'machine.cores': ({ cores, enough }: { cores: number; enough: boolean }): Sentences => ({
    message: `Cores: ${cores}`,
    reason: enough
      ? 'Students up to 0.6 B train in days; small ones in minutes.'
      : 'Small students train in minutes to hours; a 0.6 B student would take weeks here.',
  }),
  'machine.instruction-sets': ({
    sets,
    kernels,
  }: {
    sets: readonly string[];
    kernels: keyof typeof kernelTexts;
  }): Sentences => ({
    message: `Instruction sets: ${sets.length === 0 ? 'unknown' : sets.join(', ')}`,
    reason: kernelTexts[kernels],
  }),
  /** `total`, `free`: bytes. `models`: published ones, smallest first; `largest`: the last of them that fits. */
  'machine.memory': ({
    total,
    free,
    models,
    largest,
  }: {
    total: number;
    free: number;
    models: readonly ModelForecast[];
    largest?: ModelForecast | undefined;
  }): Sentences => ({
    message: `Memory: ${bytesInWords(total)} (${bytesInWords(free)} free now)`,
    reason: largestModelText(models, largest),
  }),
  /** `smallest`: of the published models, where they are known. */
  'machine.disk': ({ free, smallest }: { free: number; smallest?: ModelForecast | undefined }): Sentences => ({
    message: `Disk: ${bytesInWords(free)} free`,
    reason: smallest === undefined ? 'Enough for small students.' : roomText(smallest, free),
  }),
  'machine.disk-full': ({ free }: { free: number }, names: Names): Sentences => ({
    message: `Disk: ${bytesInWords(free)} free`,
    reason: 'Checkpoints of all but the smallest students will not fit.',
    remedy: `Free some space, or ${names.action('workspace.choose')}.`,
  }),
  'machine.providers': ({ providers }: { providers: readonly string[] }): Sentences => ({
    message: `Execution providers: ${providers.join(', ')}`,
    reason: 'Training runs on cpu; the engine uses no other provider.',
  }),
  'machine.no-engine': ({ problem }: { problem: Told }, _: Names, say: Say): Sentences => ({
    message: 'Execution providers: none',
    reason: `The training engine does not load: ${say(problem)}`,
  }),
};
