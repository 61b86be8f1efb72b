/** What a message can point at: settings of the recipe and actions, as ids; each surface says what it calls them. */

/** A setting as the recipe has it; those of an optimiser without their stage. */
export type SettingId =
  | 'task.maxLength'
  | 'task.maxNewTokens'
  | 'task.mergeLabels'
  | 'task.unlabelled'
  | 'optimiser.microBatchTokens'
  | 'optimiser.learningRate'
  | 'optimiser.moments'
  | 'cut.layers'
  | 'optimiser.ternaryRate'
  | 'quantisation.weights.scale'
  | 'quantisation.weights.group'
  | 'quantisation.weights.sparsity'
  | 'quantisation.activations.hadamard'
  | 'quantisation.activations.bits'
  | 'refine.subln'
  | 'refine.dropQkvBias'
  | 'reconstruct.soften'
  | 'pretrain.soften'
  | 'distil.soften'
  | 'distil.studentInit'
  | 'distil.layer'
  | 'distil.hidden'
  | 'recomputeActivations'
  | 'fixedPointGradients'
  | 'roundedProducts';

/** Something that a person can do, or a place to go to; the comment says which kind of words stands in the sentence. */
export type ActionId =
  /** What shows the experiments: a noun. */
  | 'experiments.list'
  /** With what a file of an experiment is made: a noun. */
  | 'export.make'
  /** Letting a model write: a noun. */
  | 'text.write'
  /** What says of a file which programs run it: a noun. */
  | 'file.inspect'
  /** How a file or folder is chosen: an imperative. */
  | 'path.choose'
  /** Naming the folder that the tokenizer of a file comes from: an imperative. */
  | 'tokenizer.choose'
  /** What shows how a recipe is made: a noun. */
  | 'recipe.help'
  /** Working in another workspace: an imperative. */
  | 'workspace.choose'
  /** Giving the base of a LoRA adapter: a sentence that stands alone. */
  | 'adapter.merge'
  /** Sending a run to a computer where another one runs: an imperative. */
  | 'run.beside'
  /** Fetching llama.cpp: a sentence or command that stands alone. */
  | 'llama-cpp.install'
  /** Fetching llama.cpp anew: an imperative. */
  | 'llama-cpp.reinstall'
  /** Fetching WebGPU: a sentence or command that stands alone. */
  | 'webgpu.install';

/** How a surface calls things, ready to stand in a sentence. */
export interface Names {
  setting(id: SettingId): string;
  action(id: ActionId): string;
}

const commands: Record<ActionId, string> = {
  'experiments.list': '"tritsmith list"',
  'export.make': '"tritsmith export"',
  'text.write': '"tritsmith generate"',
  'file.inspect': '"tritsmith inspect"',
  'path.choose': 'choose it in a dialog of the interface, or drop it on the page',
  'tokenizer.choose': 'name the folder of the model that it was made from as its tokenizer (--tokenizer <folder>)',
  'recipe.help': '"tritsmith run --help"',
  'workspace.choose': 'choose another folder with --workspace',
  'adapter.merge': 'Merge it into its base: tritsmith teacher add <adapter> --base <folder of the base>',
  'run.beside': 'start this one beside it all the same (--beside)',
  'llama-cpp.install': 'tritsmith components install llama.cpp',
  'llama-cpp.reinstall': 'run "tritsmith components remove llama.cpp", then install it again',
  'webgpu.install': 'tritsmith components install webgpu',
};

/** What terminals, logs and stacks call things: fields of the recipe, commands and flags. */
export const plainNames: Names = {
  setting: (id) => id,
  action: (id) => commands[id],
};
