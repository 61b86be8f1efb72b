/** What a message can point at: settings of the recipe and actions, as ids; each surface says what it calls them. */

/** A setting as the recipe has it; those of an optimiser without their stage. */
export type SettingId =
  | 'task.kind'
  | 'task.textColumns'
  | 'task.labelColumn'
  | 'task.labelWords'
  | 'task.maxLength'
  | 'task.maxNewTokens'
  | 'optimiser.microBatchTokens'
  | 'optimiser.learningRate'
  | 'refine.subln'
  | 'refine.dropQkvBias'
  | 'distil.studentInit'
  | 'distil.layer'
  | 'recomputeActivations'
  | 'fixedPointGradients';

/** Something that a person can do, or a place to go to; the comment says which kind of words stands in the sentence. */
export type ActionId =
  /** What shows the experiments: a noun. */
  | 'experiments.list'
  /** What shows the results of the experiment `subject`: a noun. */
  | 'experiment.show'
  /** Going on with the experiment `subject`: a whole sentence. */
  | 'experiment.resume'
  /** Evaluating the experiment `subject` again: a whole sentence. */
  | 'experiment.evaluate'
  /** Where files of an experiment are made: a noun. */
  | 'export.make'
  /** What reads a file and says which programs run it: a noun. */
  | 'file.inspect'
  /** Where a student writes text: a noun. */
  | 'text.generate'
  /** How a file or folder is chosen: an imperative. */
  | 'path.choose'
  /** Naming the folder that the tokenizer of a file comes from: an imperative. */
  | 'tokenizer.choose'
  /** What shows how a recipe is made: a noun. */
  | 'recipe.help'
  /** Working in another workspace: an imperative. */
  | 'workspace.choose'
  /** Fetching llama.cpp: an imperative. */
  | 'llama-cpp.install'
  /** Fetching llama.cpp anew: an imperative. */
  | 'llama-cpp.reinstall';

export interface Names {
  setting(id: SettingId): string;
  /** `subject`: the id of the experiment that is spoken of. */
  action(id: ActionId, subject?: string): string;
}

/** What terminals, logs and stacks call things: fields of the recipe, commands and flags. */
export const plainNames: Names = {
  setting: (id) => id,
  action: (id, subject = '') => commands[id](subject),
};

const commands: Record<ActionId, (subject: string) => string> = {
  'experiments.list': () => '"tritsmith list"',
  'experiment.show': (id) => `"tritsmith show ${id}"`,
  'experiment.resume': (id) => `tritsmith resume ${id}`,
  'experiment.evaluate': (id) => `tritsmith evaluate ${id}`,
  'export.make': () => '"tritsmith export"',
  'file.inspect': () => '"tritsmith inspect"',
  'text.generate': () => '"tritsmith generate"',
  'path.choose': () => 'give its path',
  'tokenizer.choose': () =>
    'name the folder of the model that it was made from as its tokenizer (--tokenizer <folder>)',
  'recipe.help': () => '"tritsmith run --help"',
  'workspace.choose': () => 'choose another folder with --workspace',
  'llama-cpp.install': () => 'tritsmith components install llama.cpp',
  'llama-cpp.reinstall': () => 'tritsmith components remove llama.cpp, then install it again',
};
