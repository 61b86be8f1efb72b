import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { defaultPreset, type PresetInputs, presetName, type PresetName } from '../../../contract/queries.ts';
import { type QuantisationSettings, quantisationSettings, scaleFormula } from '../../../contract/quantisation.ts';
import {
  calibrateSettings,
  type CalibrateSettings,
  deciding,
  type Deciding,
  exportType,
  type DistilSettings,
  distilSettings,
  type ExportType,
  optimiserSettings,
  type OptimiserSettings,
  type Recipe,
  teacherWrites,
} from '../../../contract/recipe.ts';
import { withByteMoments } from '../../../contract/less-memory.ts';
import { trainAgain } from '../../../workbench/experiments/train-again.ts';
import { askWorker } from '../../../jobs/host.ts';
import { parseRecipe, withAbsolutePaths } from '../../../workbench/experiments/recipe-inputs.ts';
import { commaList, guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { absolutePath, modelPath } from '../paths.ts';
import { count } from '../quantities.ts';
import { type RowOptions, rowSettings, withRowOptions } from '../row-options.ts';
import { type ReadingFlags, readingInWords, readingOf, withReadingFlags } from '../reading-options.ts';
import { runSession, withWorkspace } from '../session.ts';
import {
  handedOver,
  rankPlanOf,
  type RankOptions,
  ranksPort,
  recipeBeside,
  withRankOptions,
  withRanks,
} from '../rank-options.ts';
import { engineOption, withEngine } from '../engine-option.ts';
import type { Shell } from '../shell.ts';
import { placeOf } from '../../../workbench/remote/ssh.ts';
import { besideText, runElsewhere } from '../remote-session.ts';
import { requiredChatTemplate } from './task.ts';

interface RunOptions extends RankOptions, RowOptions, ReadingFlags {
  readonly teacher?: string;
  readonly train?: string;
  readonly dev?: string;
  readonly textColumns?: string[];
  readonly labelColumn?: string;
  readonly kind?: 'classification' | 'generation';
  readonly corpus?: string;
  readonly moreRows?: string;
  readonly teacherWrites?: number;
  readonly chatTemplate?: boolean;
  readonly calibrate?: CalibrateSettings['method'];
  readonly reconstruct?: boolean;
  readonly quantisation?: QuantisationSettings;
  readonly keepBest?: Deciding;
  readonly tokenWeights?: NonNullable<DistilSettings['tokenWeights']>;
  readonly teacherTop?: number;
  readonly preset: PresetName;
  readonly studentBase?: string;
  readonly keepLayers?: number;
  readonly limit?: number;
  readonly seed?: number;
  readonly export?: ExportType[];
  readonly name?: string;
  readonly like?: string;
  readonly add?: string;
  readonly printRecipe?: boolean;
  readonly moments?: OptimiserSettings['moments'];
  readonly engine?: Recipe['engine'];
  readonly on?: string;
  readonly detach?: boolean;
  readonly beside?: boolean;
}

export function runCommand(shell: Shell): Command {
  const command = newCommand(
    'run',
    'turn a teacher and a task into a ternary student, from a recipe file or from flags',
    'run --teacher models/Qwen3-0.6B --train train.tsv --dev dev.tsv --text-columns sentence --label-column label',
  );
  withReadingFlags(command)
    .argument('[recipe]', 'recipe.json; relative paths in it are seen from its folder')
    .option('--teacher <model>', 'model to start from: a Hugging Face folder or a GGUF file')
    .option('--train <file>', 'training rows: every file that "task check" reads')
    .option('--dev <file>', 'evaluation rows (default: a tenth of the training rows is held out)')
    .option('--text-columns <a,b>', 'columns that make the prompt (default: guessed, see "task check")', commaList)
    .option('--label-column <name>', 'class or reference answer (default: guessed)')
    .addOption(new Option('--kind <kind>', 'default: guessed').choices(['classification', 'generation']))
    .option('--chat-template', "ask as the teacher's chat template does (default: plain text)")
    .option(
      '--more-rows <file>',
      'rows without labels in the same text columns: the teacher answers them, the student learns from them',
    )
    .option(
      '--teacher-writes <rows>',
      'let the teacher write so many rows without labels itself, from beginnings of the training rows, and answer them',
      wholeNumber(1, teacherWrites.shape.rows.maxValue!),
    )
    .option('--corpus <file or folder>', 'text for continual pre-training (Stage 2)')
    .addOption(
      new Option(
        '--calibrate <method>',
        "choose the student's first codes layer by layer, by what enters it on 128 of the rows (default: by the weights alone)",
      ).choices(calibrateSettings.shape.method.options),
    )
    .option(
      '--reconstruct',
      'train a few layers at a time towards the full-precision ones before distilling (default: from 50 M parameters on, but not in the preset "paper")',
    )
    .option('--no-reconstruct', 'distil at once')
    .option(
      '--quantisation <word,...>',
      `how the linear layers are rounded (default: as BitNet b1.58): ${quantisationWords}`,
      quantisationFromWords,
    )
    .addOption(
      new Option(
        '--keep-best <measure>',
        'keep the best step on training rows that are set apart, by this (default: the last step)',
      ).choices(deciding.options),
    )
    .addOption(
      new Option(
        '--token-weights <kind>',
        'learn every token of a row from the teacher, at temperature 1, and weigh it by what the teacher makes of the next one (default: the answer alone, unweighted)',
      ).choices(distilSettings.shape.tokenWeights.unwrap().options),
    )
    .option(
      '--teacher-top <tokens>',
      'ask the teacher once and keep so many likeliest next tokens of each token in a file, the others as one sum: learn every token of a row from these, at temperature 1 (64 is a good number)',
      wholeNumber(1, distilSettings.shape.teacherTop.unwrap().maxValue!),
    )
    .addOption(new Option('--preset <preset>', 'how much to train').choices(presetName.options).default(defaultPreset))
    .option('--student-base <folder>', 'smaller model with the same tokenizer that becomes the student')
    .option(
      '--keep-layers <number>',
      "make a smaller student: only so many of the teacher's layers, those that its answers need most",
      wholeNumber(1),
    )
    .addOption(
      new Option(
        '--moments <type>',
        'what the optimiser keeps of each trained weight: 8-bit takes 6 bytes of memory less; the student is about as good, not the same (default: float32)',
      ).choices(optimiserSettings.shape.moments.unwrap().options),
    )
    .option('--limit <rows>', 'use only so many training rows', wholeNumber(1))
    .option('--seed <number>', 'same recipe, same seed, same machine: same student', wholeNumber(0))
    .option('--export <type,...>', `file types: ${exportType.options.join(', ')}`, exportTypes)
    .option('--name <name>', 'name of the experiment')
    .option('--like <experiment>', 'the recipe of a former experiment, with the rows of --add besides; see "review"')
    .option('--add <file>', 'rows that came after that training, in the same columns')
    .option('--print-recipe', 'print the recipe that the flags make, and run nothing');
  command.addOption(engineOption());
  command
    .option(
      '--on <user@host[:folder]>',
      'run it on another computer over ssh, and fetch it when it is done (docs/remote.md)',
    )
    .option('--beside', `with --on: ${besideText}`)
    .option('--detach', 'with --on: return when it has started; "remote watch" looks at it, "remote fetch" brings it');
  command.option(
    '--round-exchange',
    'with --ranks: exchange bfloat16 numbers, half of the bytes; the student is another one than without (docs/cluster.md)',
  );
  command.option('--threads <number>', 'threads, with --ranks of each of them (default: all cores)', wholeNumber(1));
  return withRankOptions(withRowOptions(command)).action((path: string | undefined, options: RunOptions) =>
    guarded(shell, options, async () => {
      if (options.like !== undefined || options.add !== undefined) {
        await runAgain(shell, path, options);
        return;
      }
      const plan = rankPlanOf(options);
      if (options.on !== undefined && plan !== null) throw new TritsmithError('bad-input', 'remote.not-with-ranks');
      const made = path === undefined ? await recipeFromFlags(shell, options) : recipeFromFile(path, options);
      const asked = options.moments === undefined ? made : withByteMoments(made);
      const recipe = withRanks(withEngine(asked, options.engine), plan, options);
      if (options.printRecipe === true) {
        await askWorker(shell.port, { type: 'check-exports', recipe });
        printJson(shell, recipe);
        return;
      }
      if (options.on !== undefined) {
        await runElsewhere(shell, placeOf(options.on), recipe, options);
        return;
      }
      if (handedOver(shell, plan, recipe, options, () => ['run', recipeBeside(options.slurm!, recipe)])) return;
      const ranks = ranksPort(plan);
      await withWorkspace(shell, options, 'write', 'run', (workspace) =>
        runSession(shell, workspace, recipe, options, ranks),
      );
    }),
  );
}

/** A former recipe with further rows; of the other flags only name, seed and limit say something here. */
async function runAgain(shell: Shell, path: string | undefined, options: RunOptions): Promise<void> {
  const { like, add } = options;
  if (like === undefined || add === undefined || path !== undefined || options.train !== undefined)
    throw new TritsmithError('bad-input', 'cli.like-and-add');
  const elsewhere = await withWorkspace(shell, options, 'write', 'run', async (workspace) => {
    const record = workspace.experiments.find(like);
    const found = await trainAgain(workspace, record, absolutePath(add), shell.port, readingOf(options));
    const plan = rankPlanOf(options);
    const recipe = withRanks(withEngine(overridden(found.recipe, options), options.engine), plan, options);
    shell.err(`${count(found.former)} rows of before and ${count(found.added)} new ones: ${recipe.task.train}\n`);
    if (options.printRecipe === true) printJson(shell, recipe);
    // Sent when the workspace is free again: what runs elsewhere needs it only to come home.
    else if (options.on !== undefined) return { place: placeOf(options.on), recipe };
    else if (!handedOver(shell, plan, recipe, options, () => ['run', recipeBeside(options.slurm!, recipe)]))
      await runSession(shell, workspace, recipe, options, ranksPort(plan));
    return null;
  });
  if (elsewhere !== null) await runElsewhere(shell, elsewhere.place, elsewhere.recipe, options);
}

const quantisationWords =
  'absmean, absmedian, learned, deviation or row-levels; tensor, row or a number of columns (a multiple of 64) that share a scale; 6:8, 3:4, 2:4 or exactly-3:4; hadamard and 4-bit, of inputs (BitNet v2); such as absmedian,row';

/** `hadamard,4-bit` as settings; the share of the steps with 8 bits is a matter of recipes and of the wizard. */
function quantisationFromWords(text: string): QuantisationSettings {
  const weights: Record<string, unknown> = {};
  const activations: Record<string, unknown> = {};
  for (const word of commaList(text)) {
    if (word === 'hadamard') activations.hadamard = true;
    else if (word === '4-bit') activations.bits = 4;
    else if (scaleFormula.safeParse(word).success) weights.scale = word;
    else if (word.includes(':')) weights.sparsity = word;
    else weights.group = word === 'tensor' || word === 'row' ? word : Number(word);
  }
  const parsed = quantisationSettings.safeParse({
    ...(Object.keys(weights).length > 0 && { weights }),
    ...(Object.keys(activations).length > 0 && { activations }),
  });
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`It takes ${quantisationWords}.`);
}

function exportTypes(text: string): ExportType[] {
  const parsed = exportType.array().min(1).safeParse(commaList(text));
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`The types are ${exportType.options.join(', ')}.`);
}

/** Reads a recipe file; `--name`, `--seed` and `--limit` override it. */
export function recipeFromFile(path: string, options: { name?: string; seed?: number; limit?: number } = {}): Recipe {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw TritsmithError.from(thrown);
    throw new TritsmithError('bad-input', 'cli.recipe-is-no-json', { path, problem: thrown.message });
  }
  return overridden(withAbsolutePaths(parseRecipe(json), dirname(absolutePath(path))), options);
}

function overridden(recipe: Recipe, options: { name?: string; seed?: number; limit?: number }): Recipe {
  return parseRecipe({
    ...recipe,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    task: { ...recipe.task, ...(options.limit === undefined ? {} : { limit: options.limit }) },
  });
}

async function recipeFromFlags(shell: Shell, options: RunOptions): Promise<Recipe> {
  if (options.teacher === undefined || options.train === undefined)
    throw new TritsmithError('bad-input', 'cli.no-recipe');
  const train = absolutePath(options.train);
  const mapping = await columnsOf(shell, train, options);
  const inputs: PresetInputs = {
    preset: options.preset,
    teacher: modelPath(options.teacher),
    task: {
      train,
      ...mapping,
      ...rowSettings(options),
      ...(options.dev === undefined ? {} : { dev: absolutePath(options.dev) }),
      ...(options.limit === undefined ? {} : { limit: options.limit }),
      ...readingOf(options),
    },
    ...(options.calibrate === undefined ? {} : { calibrate: options.calibrate }),
    ...(options.reconstruct === undefined ? {} : { reconstruct: options.reconstruct }),
    ...(options.quantisation === undefined ? {} : { quantisation: options.quantisation }),
    ...(options.keepBest === undefined ? {} : { keepBest: options.keepBest }),
    ...(options.tokenWeights === undefined && options.teacherTop === undefined
      ? {}
      : {
          changes: {
            'distil.logitsTokens': 'all',
            'distil.tau': 1,
            ...(options.tokenWeights === undefined ? {} : { 'distil.tokenWeights': options.tokenWeights }),
            ...(options.teacherTop === undefined ? {} : { 'distil.teacherTop': options.teacherTop }),
          },
        }),
    ...(options.moreRows === undefined ? {} : { moreRows: absolutePath(options.moreRows) }),
    ...(options.teacherWrites === undefined ? {} : { teacherWrites: options.teacherWrites }),
    ...(options.corpus === undefined ? {} : { corpus: absolutePath(options.corpus) }),
    ...(options.studentBase === undefined ? {} : { studentBase: absolutePath(options.studentBase) }),
    ...(options.keepLayers === undefined ? {} : { keepLayers: options.keepLayers }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.export === undefined ? {} : { exports: options.export }),
    ...(options.name === undefined ? {} : { name: options.name }),
  };
  return askWorker(shell.port, { type: 'make-recipe', inputs });
}

/** The columns by flags; what is missing is guessed from the file, and said. */
async function columnsOf(
  shell: Shell,
  train: string,
  options: RunOptions,
): Promise<Pick<PresetInputs['task'], 'textColumns' | 'labelColumn' | 'kind' | 'template'>> {
  const { textColumns, labelColumn, kind } = options;
  const teacher = options.chatTemplate === true ? modelPath(options.teacher!) : undefined;
  if (textColumns !== undefined && labelColumn !== undefined && kind !== undefined && teacher === undefined)
    return { textColumns, labelColumn, kind };
  const report = await askWorker(shell.port, {
    type: 'check-task',
    request: {
      settings: {
        train,
        ...(textColumns === undefined ? {} : { textColumns }),
        ...(labelColumn === undefined ? {} : { labelColumn }),
        ...(kind === undefined ? {} : { kind }),
        ...rowSettings(options),
        ...readingOf(options),
      },
      ...(teacher === undefined ? {} : { teacher }),
    },
  });
  const { mapping } = report;
  const template = teacher === undefined ? {} : { template: requiredChatTemplate(report, teacher) };
  const reading = readingInWords(report.train.reading);
  if (reading !== null) shell.err(`Read as: ${reading}\n`);
  shell.err(
    `Columns of ${train}: text ${mapping.textColumns.join(', ')}; label ${mapping.labelColumn}; ${mapping.kind}` +
      `${mapping.guessed.length > 0 ? ` (guessed: ${mapping.guessed.join(', ')})` : ''}\n`,
  );
  return { textColumns: mapping.textColumns, labelColumn: mapping.labelColumn, kind: mapping.kind, ...template };
}
