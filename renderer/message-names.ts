/** What the pages call the settings and actions that messages point at, and messages in these words. */
import { renderSpoken, type Spoken } from '../main/contract/messages/message.ts';
import { type Told, wordsOf } from '../main/contract/messages/told.ts';
import type { ActionId, Names, SettingId } from '../main/contract/messages/names.ts';
import { texts } from './texts.ts';

const quoted = (label: string): string => `“${label}”`;
const { settings } = texts.wizard.recipe;
const labelOf = (path: string): string => settings[path]?.name ?? path;

const labels: Record<SettingId, string> = {
  'task.maxLength': texts.wizard.data.maxLength,
  'task.maxNewTokens': texts.wizard.data.maxNewTokens,
  'task.mergeLabels': texts.wizard.data.mergeLabels,
  'task.unlabelled': texts.wizard.data.unlabelled,
  'optimiser.microBatchTokens': labelOf('*.optimiser.microBatchTokens'),
  'optimiser.learningRate': labelOf('*.optimiser.learningRate'),
  'optimiser.moments': labelOf('*.optimiser.moments'),
  'cut.layers': texts.wizard.size.keep,
  'optimiser.ternaryRate': labelOf('*.optimiser.ternaryRate'),
  'quantisation.weights.scale': labelOf('quantisation.weights.scale'),
  'quantisation.weights.group': labelOf('quantisation.weights.group'),
  'quantisation.weights.sparsity': labelOf('quantisation.weights.sparsity'),
  'quantisation.activations.hadamard': labelOf('quantisation.activations.hadamard'),
  'quantisation.activations.bits': labelOf('quantisation.activations.bits'),
  'refine.subln': labelOf('refine.subln'),
  'refine.dropQkvBias': labelOf('refine.dropQkvBias'),
  'reconstruct.soften': labelOf('reconstruct.soften'),
  'pretrain.soften': labelOf('pretrain.soften'),
  'distil.soften': labelOf('distil.soften'),
  'distil.studentInit': labelOf('distil.studentInit'),
  'distil.layer': labelOf('distil.layer'),
  'distil.hidden': labelOf('distil.hidden'),
  recomputeActivations: labelOf('recomputeActivations'),
  fixedPointGradients: labelOf('fixedPointGradients'),
  roundedProducts: labelOf('roundedProducts'),
};

const page = (title: string): string => `the page ${quoted(title)}`;
const actions: Record<ActionId, string | (() => string)> = {
  'experiments.list': page(texts.navigation.experiments),
  'export.make': `${quoted(texts.exports.make)} on ${page(texts.titles.exports)}`,
  'text.write': page(texts.titles.playground),
  'file.inspect': page(texts.titles.exports),
  'path.choose': `choose it with ${quoted(texts.picker.browse)}, or drop it on its field`,
  'tokenizer.choose': texts.elsewhere.tokenizer,
  'recipe.help': page(texts.titles.create),
  'workspace.choose': texts.elsewhere.workspace,
  'adapter.merge': texts.elsewhere.merge(quoted(texts.wizard.teacher.folder), quoted(texts.wizard.teacher.merge)),
  'llama-cpp.install': `Press ${quoted(texts.onDemand.install['llama.cpp'])} on ${page(texts.titles.results)} or ${quoted(texts.titles.benchmarks)}.`,
  'run.beside': `press ${quoted(texts.otherComputers.beside)}`,
  'webgpu.install': `Press ${quoted(texts.onDemand.install.webgpu)} in the step ${quoted(texts.wizard.names.machine)} of ${page(texts.titles.create)}.`,
  'llama-cpp.reinstall': () => texts.elsewhere.reinstall(command, quoted(texts.onDemand.install['llama.cpp'])),
};
let command = 'tritsmith';

/** Tells what is typed in a terminal for the command line, once the workbench has said it. */
export function nameCommand(typed: string): void {
  command = typed;
}

export const pageNames: Names = {
  setting: (id) => quoted(labels[id]),
  action: (id) => {
    const name = actions[id];
    return typeof name === 'string' ? name : name();
  },
};

/** What is said to the user of an error or a finding: by its id where it has one, else the text that it came with. */
interface Said extends Spoken {
  readonly message: string;
  readonly cause?: string | undefined;
  readonly remedy?: string | undefined;
}

export function inWordsOfThePage<T extends Said>(said: T): T {
  const sentences = renderSpoken(said, pageNames);
  return sentences === null
    ? said
    : { ...said, message: sentences.message, cause: sentences.reason, remedy: sentences.remedy };
}

/** Why a program runs a file or does not. */
export function reasonOfVerdict(verdict: Spoken & { readonly reason: string }): string {
  return renderSpoken(verdict, pageNames)?.message ?? verdict.reason;
}

/** A warning, a note or a proof. */
export function findingInWords(finding: Told): string {
  return wordsOf(finding, pageNames);
}

/** Why a model cannot be a teacher, and what to do. */
export function refusalInWords({ problem }: { readonly problem?: Told | undefined }): Said {
  return problem === undefined
    ? { message: texts.wizard.teacher.unsupported }
    : inWordsOfThePage({ ...problem, message: problem.text });
}
