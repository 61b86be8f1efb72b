/** The only maker of recipes: from a teacher, a task, the word of a preset and what a person changed. */
import { basename } from 'node:path';
import { native } from '../../../native/index.ts';
import { modelName } from '../../contract/local-path.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { PresetInputs, PresetName } from '../../contract/queries.ts';
import { setField } from '../../contract/recipe-fields.ts';
import {
  calibrateSettings,
  newestRules,
  type Recipe,
  recipeSchema,
  type RecipeInput,
  type ReconstructSettings,
  reconstructSettings,
} from '../../contract/recipe.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { countParameters } from '../../models/parameters.ts';
import { assertSameTokenizer, studentConfiguration } from '../models-of-recipe.ts';
import { corpusSize } from './corpus-size.ts';
import { defaultExports } from '../export/export-targets.ts';
import { countMoreRows, mostMoreRows } from '../task/more-rows.ts';
import { defaultAnswerTokens } from '../task/task-data.ts';

/**
 * Learning rate by model size: 3e-3 at 0.65 M parameters (measured on story-656k) and 5e-5 at 0.6 B (the paper's), a straight line
 * between them in logarithms.
 */
export function learningRateFor(parameters: number): number {
  const exponent = Math.log(3e-3 / 5e-5) / Math.log(596e6 / 656e3);
  const rate = 3e-3 * (656e3 / parameters) ** exponent;
  return Number(Math.min(3e-3, Math.max(1e-5, rate)).toPrecision(2));
}

/** Most tokens that Stage 2 reads of a corpus. */
const mostPretrainTokens: Record<PresetName, number> = {
  quick: 0,
  balanced: 50_000_000,
  best: 50_000_000,
  paper: 10_000_000_000,
};

/** Passes over the rows, in each stage that trains on them. */
const passesOf: Record<PresetName, number> = { quick: 1, balanced: 2, best: 2, paper: 3 };

/** `gammaRatio` for a student that starts from the fine-tuned teacher; docs/results.md, "sst2: what was tried", compares ratios. */
const attentionShareFromTeacher = 0.1;

/** A reconstruction with the settings that nobody changed; all rates of ternary weights are in units of delta then. */
export function reconstructionOfPresets(): ReconstructSettings {
  const optimiser = { learningRate: 1e-3, ternaryRate: 0.02, schedule: 'cosine' };
  return reconstructSettings.parse({ epochs: 3, optimiser });
}

/**
 * From so many parameters on quick, balanced and best reconstruct, where nobody said otherwise: smaller students come near to their teacher without it, larger ones
 * with few rows do not (docs/results.md, "Window reconstruction").
 */
const reconstructedFrom = 50_000_000;

/** Products are most of a step of such a model, and this processor has fast instructions for rounded ones (docs/results.md, "Products of rounded factors"). */
const roundsFast = (model: ModelConfiguration): boolean =>
  countParameters(model).total >= reconstructedFrom && native.productSets()[0] === 'avx512-bf16';

/** So many times as long is the distillation after a reconstruction: its length counted then, on a real model (docs/results.md, "Window reconstruction"). */
const longerAfterReconstruction = 4;
/** The preset best distils so many times as long as balanced. Measured are one pass against four after a reconstruction; that more win more is a guess. */
const longerInBest = 4;

/** Rows of a task are cut to this many tokens where nobody said otherwise. */
const usualRow = 512;
/** Tokens of a packed sequence of Stage 2. */
const sequence = 256;

/**
 * The recipe that a preset stands for, with the changes laid over it.
 * @throws TritsmithError `bad-input` that names the field where a change does not fit, and for a teacher that cannot be read
 */
export async function makeRecipe(inputs: PresetInputs): Promise<Recipe> {
  const { preset, task, changes = {} } = inputs;
  const configuration = await modelConfiguration(inputs.teacher);
  const { studentBase, keepLayers } = inputs;
  const rateOf = (model: ModelConfiguration): number => learningRateFor(countParameters(model).total);
  // A cut student keeps the rate of the model whose weights it has.
  const learningRate = rateOf(configuration);
  const studentRate = studentBase === undefined ? learningRate : rateOf(await modelConfiguration(studentBase));
  if (studentBase !== undefined) await assertSameTokenizer(inputs.teacher, studentBase);
  const further = configuration.ternary;
  if (
    further &&
    (studentBase !== undefined ||
      inputs.calibrate !== undefined ||
      inputs.reconstruct === true ||
      inputs.moreRows !== undefined ||
      inputs.teacherWrites !== undefined)
  )
    throw new TritsmithError('bad-input', 'recipe.ternary-already');
  const paper = preset === 'paper';
  const generation = task.kind === 'generation';
  const reconstruct =
    inputs.reconstruct ??
    (!paper && !further && studentBase === undefined && countParameters(configuration).total >= reconstructedFrom);
  const epochs = passesOf[preset];
  const longer = (reconstruct && !paper ? longerAfterReconstruction : 1) * (preset === 'best' ? longerInBest : 1);
  const passes = longer * epochs;
  /** Latent weights of a BitNet are of order 1, fifty times a usual weight: their rate is in units of delta, and nothing pulls them to 0. */
  const continued = (rate: number) => ({ ...optimiser(rate), ternaryRate: 'auto' as const, weightDecay: 0 });
  const optimiser = (rate: number) => ({ learningRate: rate, ...(paper ? { schedule: 'cosine' as const } : {}) });
  const maxLength = Math.min(task.maxLength ?? usualRow, configuration.maxPositions);
  const tokens =
    inputs.corpus === undefined
      ? 0
      : Math.min(mostPretrainTokens[preset], Math.floor((await corpusSize(inputs.corpus)) / 4));
  const recipe: RecipeInput = {
    name: inputs.name ?? `${basename(task.train).replace(/\.[^.]+$/, '')} with ${modelName(inputs.teacher)}`,
    preset,
    seed: inputs.seed ?? 1,
    teacher: inputs.teacher,
    task: {
      rules: newestRules,
      ...task,
      name: task.name ?? basename(task.train),
      maxLength,
      maxNewTokens: task.maxNewTokens ?? defaultAnswerTokens(maxLength),
    },
    ...(studentBase === undefined ? {} : { studentBase }),
    ...(keepLayers === undefined ? {} : { cut: { layers: keepLayers } }),
    finetune: further ? null : { epochs, optimiser: optimiser(learningRate) },
    refine: { subln: 'paper', sublnInit: paper || further ? 'ones' : 'calibrated', dropQkvBias: configuration.qkvBias },
    ...(further ? { continueTernary: true as const, baseline: false } : {}),
    ...(inputs.moreRows === undefined ? {} : { moreRows: { file: inputs.moreRows, rows: mostMoreRows } }),
    ...(inputs.teacherWrites === undefined ? {} : { teacherWrites: { rows: inputs.teacherWrites } }),
    ...(inputs.quantisation === undefined ? {} : { quantisation: inputs.quantisation }),
    ...(inputs.calibrate === undefined ? {} : { calibrate: calibrateSettings.parse({ method: inputs.calibrate }) }),
    ...(reconstruct ? { reconstruct: reconstructionOfPresets() } : {}),
    pretrain:
      inputs.corpus === undefined || tokens === 0
        ? null
        : {
            corpus: inputs.corpus,
            tokens,
            sequenceLength: Math.min(sequence, configuration.maxPositions),
            optimiser: { ...(further ? continued(studentRate) : optimiser(studentRate)), batchSize: 16 },
          },
    distil: {
      epochs: passes,
      // The same losses; only the last digits differ.
      ...(paper || further || passes === 1 ? {} : { teacherOnce: true }),
      optimiser: further
        ? continued(studentRate)
        : reconstruct
          ? { ...optimiser(studentRate), ternaryRate: 'auto' }
          : optimiser(studentRate),
      lambda: further ? 0 : generation ? 1 : 10,
      gamma: further ? 0 : paper ? (generation ? 1e3 : 1e5) : 'balanced',
      ...(paper ? {} : { gammaRatio: attentionShareFromTeacher }),
      layer: paper ? Math.round(configuration.layers * 0.8) - 1 : -1,
      studentInit: paper || studentBase !== undefined ? 'base' : 'teacher',
    },
    exports: (inputs.exports ?? []).map((type) => ({ type })),
    ...(!paper && roundsFast(configuration) && changes['fixedPointGradients'] !== true
      ? { roundedProducts: true }
      : {}),
    ...(inputs.keepBest === undefined ? {} : { keepBest: { measure: inputs.keepBest } }),
  };
  const made = recipeSchema.parse(recipe);
  // Counted when the task's settings are there, its defaults included.
  if (made.moreRows) made.moreRows.rows = await countMoreRows(made.moreRows.file, made.task);
  for (const [path, value] of Object.entries(changes)) setField(made, path, value);
  const changed = recipeSchema.safeParse(made);
  if (changed.success) {
    const { data } = changed;
    if (further) await studentConfiguration(data);
    return data.exports.length > 0 ? data : { ...data, exports: await defaultExports(data) };
  }
  const { path, message } = changed.error.issues[0]!;
  throw new TritsmithError('bad-input', 'recipe.value', { field: path.join('.'), problem: message });
}
