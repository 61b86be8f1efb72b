/** What a recipe takes before it is run: time, memory and disk of each job, as terms, from the shapes of its models and the size of its task. */
import { availableParallelism } from 'node:os';
import { TritsmithError } from '../../contract/errors.ts';
import type {
  DiskTerm,
  MeasuredSpeed,
  MemoryTerm,
  RecipeForecast,
  StageEstimate,
  TaskSize,
  TimeBasis,
} from '../../contract/estimates.ts';
import type { JobKind } from '../../contract/jobs.ts';
import { tell } from '../../contract/messages/told.ts';
import { baselineModel } from '../../contract/model-names.ts';
import type { OptimiserSettings, Recipe } from '../../contract/recipe.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelCompanions, modelConfiguration } from '../../models/open-model.ts';
import { countParameters, windowSpecifications } from '../../models/parameters.ts';
import { calibrationMemory, momentBytes, shardMemory, stepMemory, windowMemory } from '../../training/step-memory.ts';
import { taughtTokenBytes } from '../../training/taught-rows.ts';
import { encodingOfTarget, exportTargets, settle, type Target } from '../export/export-targets.ts';
import { ggufModelBytes } from '../export/gguf-file.ts';
import {
  baselineConfiguration,
  checkDistillation,
  findsCodes,
  recipeTokenizer,
  studentConfiguration,
  studentOptimiser,
} from '../models-of-recipe.ts';
import { leastTravel, ternaryTravel } from '../../training/schedule.ts';
import { keptOf } from '../stages/ask-once.ts';
import { corpusSize } from './corpus-size.ts';
import {
  costsOf,
  type JobCost,
  reconstructionTokens,
  type RecipeShapes,
  rowsToAsk,
  stepsOf,
  stepWorkPerToken,
} from './cost.ts';
import { inspectTeacher, studentBytes } from './inspect-teacher.ts';
import { measureTask } from './task-size.ts';
import { usualDelta } from './usual-delta.ts';

/** Useful operations of one core in a second, before anything has been measured: from an old laptop to a server. */
const guessedSpeed = { low: 4e9, high: 30e9 };
/** What a rehearsal may be wrong by: longer rows and other programs on one side, a warm machine on the other. */
const slower = 1.4;
const faster = 0.8;
/** Starting a process, loading and saving a small model: seconds of each job that no formula of operations has. */
const overhead = { low: 0.8, high: 8 };
/** Of a parameter in a checkpoint: itself and two moments; a rounded exchange keeps what it carries over, of each part and of the parameter. */
export function checkpointBytes(
  optimiser: Pick<OptimiserSettings, 'moments'>,
  { roundedExchange }: Pick<Recipe, 'roundedExchange'> = {},
): number {
  const numbers = 1 + (roundedExchange === undefined ? 0 : roundedExchange + 1);
  return numbers * Float32Array.BYTES_PER_ELEMENT + momentBytes(optimiser);
}
/** Of a parameter in a model folder. */
export const modelBytes = Float32Array.BYTES_PER_ELEMENT;
/** Of a row in the cache of tokens, besides its tokens: its length and two places. */
const rowBytes = 16;
/** Characters of a token of ordinary text. */
const charactersPerToken = 4;

type TrainingStage = 'finetune' | 'reconstruct' | 'pretrain' | 'distil' | 'baseline';

interface Facts extends RecipeShapes {
  readonly baseline: ModelConfiguration;
  readonly size: TaskSize;
  readonly tokenizerBytes: number;
  readonly tokenizer: Tokenizer;
}

/**
 * Reads the teacher's headers and, unless `known`, all rows of the task.
 * @throws TritsmithError `unsupported` for a model that cannot be a teacher, and as `prepareTask` for a task that cannot be trained on
 */
export async function forecastRecipe(
  recipe: Recipe,
  known: TaskSize | null = null,
  measured: MeasuredSpeed | null = null,
): Promise<RecipeForecast> {
  const card = await inspectTeacher(recipe.teacher);
  if (!card.supported) throw new TritsmithError('unsupported', 'teacher.unusable', { problem: card.problem });
  const teacher = await modelConfiguration(recipe.teacher);
  const student = await studentConfiguration(recipe);
  checkDistillation(recipe, teacher, student);
  const tokenizer = await recipeTokenizer(recipe);
  const facts: Facts = {
    teacher,
    student,
    baseline: await baselineConfiguration(recipe),
    size: known ?? (await measureTask(recipe, tokenizer)),
    tokenizerBytes: (await modelCompanions(recipe.teacher)).travelling,
    tokenizer,
  };
  const costs = costsOf(recipe, facts, facts.size);
  const basis = basisOf(facts, recipe, measured);
  // A card that was measured trains; all else is computed on the processor.
  const elsewhere = recipe.engine === 'gpu' && measured ? basisOf(facts, recipe, null).speed : basis.speed;
  const seconds = costs.map(({ kind, work }) => {
    const speed = isTraining(kind) ? basis.speed : elsewhere;
    return { low: basis.overhead.low + work / speed.high, high: basis.overhead.high + work / speed.low };
  });
  const disk = await diskOf(recipe, facts, costs, seconds);
  const steps = stepsOf(recipe, facts.size);
  const delta = await usualDelta(recipe.studentBase ?? recipe.teacher, facts.student);
  const stages = costs.map((cost, index): StageEstimate => ({
    ...cost,
    seconds: seconds[index]!,
    travel: trainsStudent(cost.kind) ? ternaryTravel(steps[cost.kind], settingsOf(cost.kind, recipe), delta) : null,
    memory: isTraining(cost.kind)
      ? trainingMemory(cost.kind, recipe, facts)
      : cost.kind === 'calibrate'
        ? calibrationMemory(facts.student, facts.size.longestRow)
        : [],
    disk: disk.get(cost.kind) ?? [],
  }));
  const warnings = stages.flatMap(({ kind, travel }) =>
    travel !== null && travel < leastTravel && findsCodes(recipe, kind)
      ? [tell('estimate.codes-stay', { stage: kind, travel })]
      : [],
  );
  return { parameters: card.parameters, size: facts.size, stages, basis, warnings };
}

function basisOf({ teacher, size }: Facts, { threads }: Recipe, measured: MeasuredSpeed | null): TimeBasis {
  const cores = threads === 0 ? availableParallelism() : Math.min(threads, availableParallelism());
  if (measured === null)
    return { speed: { low: guessedSpeed.low * cores, high: guessedSpeed.high * cores }, cores, overhead, measured };
  const speed = measured.tokensPerSecond * stepWorkPerToken(teacher, size);
  return { speed: { low: speed / slower, high: speed / faster }, cores, overhead, measured };
}

function isTraining(kind: JobKind): kind is TrainingStage {
  return (
    kind === 'finetune' || kind === 'reconstruct' || kind === 'pretrain' || kind === 'distil' || kind === 'baseline'
  );
}

/** Whether the stage trains ternary weights. */
function trainsStudent(kind: JobKind): kind is Exclude<TrainingStage, 'finetune'> {
  return isTraining(kind) && kind !== 'finetune';
}

function settingsOf(kind: TrainingStage, recipe: Recipe): OptimiserSettings {
  if (kind === 'finetune' || kind === 'reconstruct') return recipe[kind]!.optimiser;
  if (kind === 'baseline') return recipe.distil.optimiser;
  return studentOptimiser(recipe, recipe[kind]!.optimiser);
}

/** Memory of a training stage's largest step. */
function trainingMemory(kind: TrainingStage, recipe: Recipe, facts: Facts): MemoryTerm[] {
  const { distil, recomputeActivations: recompute } = recipe;
  const onCard = recipe.engine === 'gpu';
  const { batchSize, microBatchTokens, moments } = settingsOf(kind, recipe);
  if (kind === 'reconstruct') {
    const { window, corpus, sequenceLength } = recipe.reconstruct!;
    const rowLength = Math.max(facts.size.longestRow, corpus === undefined ? 0 : sequenceLength);
    const rows = Math.max(1, Math.min(batchSize, microBatchTokens / rowLength));
    const parameters = windowSpecifications(facts.student, 0, window).reduce((sum, { size }) => sum + size, 0);
    return [
      ...windowMemory({ model: facts.student, window, rows, rowLength, recompute, moments, onCard }),
      ...shardMemory(parameters, recipe.shards, recipe.roundedExchange),
    ];
  }
  const rowLength = kind === 'pretrain' ? recipe.pretrain!.sequenceLength : facts.size.longestRow;
  const rows = Math.max(1, Math.min(batchSize, microBatchTokens / rowLength));
  const learns = kind === 'distil' && (distil.lambda > 0 || distil.gamma !== 0);
  const everyToken = kind === 'pretrain' || (learns && distil.lambda > 0 && distil.logitsTokens === 'all');
  const model = kind === 'finetune' ? facts.teacher : kind === 'baseline' ? facts.baseline : facts.student;
  const terms = stepMemory({
    model,
    teacher: learns ? facts.teacher : null,
    teacherOnce: learns && rowsToAsk(recipe, facts.teacher, facts.size) !== null,
    teacherTop: learns && keptOf(distil).top !== null,
    reverse: distil.tokenWeights === 'cakld',
    rows,
    rowLength,
    headRows: Math.ceil(rows * (everyToken ? rowLength : facts.size.longestAnswer)),
    recompute,
    onCard,
    moments,
    splitHeads: distil.gamma === 0 ? null : distil.splitHeads,
  });
  return [...terms, ...shardMemory(countParameters(model).total, recipe.shards, recipe.roundedExchange)];
}

/** What each job takes on the disk while it runs, and at the largest checkpoint the room for one more while it is written. */
async function diskOf(
  recipe: Recipe,
  facts: Facts,
  costs: readonly JobCost[],
  seconds: readonly { high: number }[],
): Promise<Map<JobKind, DiskTerm[]>> {
  const { size, tokenizerBytes, teacher, student, baseline } = facts;
  const terms = new Map<JobKind, DiskTerm[]>();
  const put = (kind: JobKind, term: DiskTerm): void => {
    terms.set(kind, [...(terms.get(kind) ?? []), term]);
  };
  const putHiddenStates = (kind: JobKind, tokens: number): void => {
    const width = student.hiddenSize;
    put(kind, { id: 'hidden-states', bytes: 3 * 4 * tokens * width, params: { files: 3, tokens, width } });
  };
  const bytesPerToken = teacher.vocabSize <= 65_536 ? 2 : 4;
  let cached = false;
  let largest: { stage: TrainingStage; parameters: number; bytesEach: number } | null = null;
  for (const [index, { kind, steps }] of costs.entries()) {
    const model = kind === 'finetune' ? teacher : kind === 'baseline' ? baseline : student;
    const parameters = countParameters(model).total;
    if (kind === 'cut' || kind === 'refine' || kind === 'calibrate' || isTraining(kind))
      put(kind, {
        id: 'model',
        bytes: parameters * modelBytes + tokenizerBytes,
        params: { stage: kind, parameters, bytesEach: modelBytes, tokenizerBytes },
      });
    if (kind === 'calibrate') {
      putHiddenStates(kind, costs[index]!.tokens);
      const params = { parameters, bytesEach: modelBytes };
      put(kind, { id: 'layer-files', bytes: parameters * modelBytes, params });
    }
    if (!isTraining(kind)) continue;
    if (kind !== 'pretrain' && !cached) {
      cached = true;
      // Training and evaluation rows; a prompt that is evaluated is kept without its answer, which weighs little.
      const tokens = size.tokens + size.evaluationTokens;
      const bytes = tokens * bytesPerToken + (size.rows + size.evaluationRows) * rowBytes;
      put(kind, { id: 'tokens', bytes, params: { stage: kind, tokens } });
    }
    if (kind === 'reconstruct') putHiddenStates(kind, reconstructionTokens(recipe, size));
    const asked = kind === 'distil' ? rowsToAsk(recipe, teacher, size) : null;
    if (asked !== null) {
      const bytesEach = taughtTokenBytes(teacher, keptOf(recipe.distil));
      put(kind, { id: 'taught', bytes: asked * bytesEach, params: { tokens: asked, bytesEach } });
    }
    if (kind === 'pretrain') {
      const { corpus, sequenceLength, optimiser } = recipe.pretrain!;
      const wanted = steps * sequenceLength * optimiser.batchSize;
      const tokens = Math.min(wanted, Math.ceil((await corpusSize(corpus)) / charactersPerToken));
      put(kind, { id: 'tokens', bytes: tokens * bytesPerToken, params: { stage: kind, tokens } });
    }
    const again = steps > recipe.checkpoint.steps || seconds[index]!.high > recipe.checkpoint.minutes * 60;
    const generations = again ? 2 : 1;
    const bytesEach = checkpointBytes(settingsOf(kind, recipe), recipe);
    put(kind, {
      id: 'checkpoint-files',
      bytes: generations * parameters * bytesEach,
      params: { stage: kind, generations, parameters, bytesEach },
    });
    if (recipe.keepBest && kind !== 'pretrain' && kind !== 'reconstruct')
      put(kind, {
        id: 'best-step',
        bytes: parameters * modelBytes,
        params: { stage: kind, parameters, bytesEach: modelBytes },
      });
    if (again && parameters * bytesEach >= (largest?.parameters ?? 0) * (largest?.bytesEach ?? 0))
      largest = { stage: kind, parameters, bytesEach };
  }
  if (largest !== null) {
    const { stage, parameters, bytesEach } = largest;
    put(stage, { id: 'checkpoint-in-writing', bytes: parameters * bytesEach, params: { parameters, bytesEach } });
  }
  for (const target of exportTargets('', recipe)) {
    const bytes = await exportBytes(target, facts);
    if (bytes > 0) put('export', { id: 'export', bytes, params: { type: target.settings.type, model: target.model } });
  }
  return terms;
}

/** Bytes of an exported file; 0 where no such file can hold the model, so that none is written. */
async function exportBytes(asked: Target, facts: Facts): Promise<number> {
  const { model } = asked;
  const configuration = model === 'teacher' ? facts.teacher : model === baselineModel ? facts.baseline : facts.student;
  const encoding = encodingOfTarget(settle(asked, configuration));
  if (encoding === null) return studentBytes(configuration, facts.tokenizerBytes).fileBytes;
  const unread = { read: () => Promise.reject(new Error('sizes need no values')), close: () => Promise.resolve() };
  const source = { name: '', configuration, tensors: unread, tokenizer: facts.tokenizer };
  try {
    return await ggufModelBytes(source, encoding);
  } catch (thrown) {
    if (thrown instanceof TritsmithError && thrown.code === 'unsupported') return 0;
    throw thrown;
  }
}
