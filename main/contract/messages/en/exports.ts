/** Writing models to files, and reading files of models. */
import type { Names } from '../names.ts';
import { firstOf, type Say, type Sentences, type Told } from '../sentences.ts';

const unexpected = 'Export again; if it fails again, report it with the experiment: this should not happen.';

export const exports = {
  'export.pruning-changes-answers': ({ found }: { found: Told }, _: Names, say: Say): Sentences => ({
    message: 'Pruning the vocabulary would change the answers on the task.',
    reason: say(found),
    remedy: 'Export with the whole vocabulary.',
  }),
  'export.bias-beside-subln': (_: undefined, names: Names): Sentences => ({
    message: 'A Qwen2 student with SubLN and QKV bias fits no GGUF architecture.',
    reason: 'bitnet.cpp does not load the bias where SubLN is.',
    remedy: `Train the student with ${names.setting('refine.dropQkvBias')} switched on, which exports as "bitnet"; or export the Hugging Face folder or ONNX alone.`,
  }),
  'export.subln-everywhere': (_: undefined, names: Names): Sentences => ({
    message: 'SubLN before all seven projections fits no GGUF architecture for this family.',
    reason: 'Files of Llama, Mistral, Phi-3 and Qwen2 have no place for it.',
    remedy: `Train the student with SubLN before o_proj and down_proj (${names.setting('refine.subln')} at "paper"), or export the Hugging Face folder or ONNX alone.`,
  }),
  'export.layer-kinds': ({ architecture }: { architecture: string }): Sentences => ({
    message: `The layers of this model differ in a way that a "${architecture}" file can't say.`,
    reason: 'Such a file knows one window, on all layers or on all but the last of each period.',
    remedy: 'Export the Hugging Face folder or ONNX alone.',
  }),
  'export.bitnet-shape': ({
    heads,
    headSize,
    hiddenSize,
  }: {
    heads: number;
    headSize: number;
    hiddenSize: number;
  }): Sentences => ({
    message: 'This student does not fit the "bitnet" architecture.',
    reason: `It needs heads * head size = hidden size; here ${heads} * ${headSize} is not ${hiddenSize}.`,
    remedy: 'Export the Hugging Face folder or ONNX alone, which hold any shape.',
  }),
  'export.padded-scale': ({
    type,
    hiddenSize,
    multiple,
  }: {
    type: string;
    hiddenSize: number;
    multiple: number;
  }): Sentences => ({
    message: `A ${type} file can't hold this student.`,
    reason: `Its hidden size ${hiddenSize} is no multiple of ${multiple}, and zeros can't fill it up, as this family scales its embedding by the hidden size.`,
    remedy: 'Choose Q2_0, or an embedding in F16; or export the Hugging Face folder or ONNX.',
  }),
  'export.activations': (
    { type, hadamard, bits }: { type: string; hadamard: boolean; bits: 8 | 4 },
    names: Names,
  ): Sentences => ({
    message: `A file of the type ${type} can't hold this student.`,
    reason: `Its inputs ${[...(hadamard ? ['are turned by a Hadamard matrix'] : []), ...(bits === 4 ? ['are rounded to 4 bits'] : [])].join(' and ')}, and the programs that read such files would compute something else.`,
    remedy: `Export it as I2_S, which Tritsmith runs, or as ONNX; or train it without (${names.setting('quantisation.activations.hadamard')}, ${names.setting('quantisation.activations.bits')}).`,
  }),
  'export.three-of-four': (_: undefined, names: Names): Sentences => ({
    message: "A file of the type t3_4 can't hold this student.",
    reason:
      'It has five bits for four weights, which is room for the patterns with exactly three that are not 0, and the student was not trained so.',
    remedy: `Choose another type, or train it with "exactly-3:4" (${names.setting('quantisation.weights.sparsity')}).`,
  }),
  'export.one-scale': ({ type, group }: { type: string; group: 'row' | number }, names: Names): Sentences => ({
    message: `A student with a scale for each ${group === 'row' ? 'row' : `group of ${group} columns`} fits no ${type === 'hf' ? 'Hugging Face folder' : `${type.toUpperCase()} file`}.`,
    reason: 'It has one scale for each matrix.',
    remedy: `Export it as Q2_0 or ONNX, or train it with one scale a matrix (${names.setting('quantisation.weights.group')} at "tensor").`,
  }),
  'export.scale-blocks': (
    { type, group, block }: { type: string; group: number; block: number },
    names: Names,
  ): Sentences => ({
    message: `A student with a scale for each group of ${group} columns fits no ${type.toUpperCase()} file.`,
    reason: `It has a scale for each ${block} columns, and ${block} does not divide ${group}.`,
    remedy: `Export it as Q2_0 or ONNX, or train it with groups of a multiple of ${block} (${names.setting('quantisation.weights.group')}).`,
  }),
  'export.failed': ({ type, problem }: { type: string; problem: Told }, _: Names, say: Say): Sentences => ({
    message: `The student could not be exported as ${type.toUpperCase()}.`,
    reason: say(problem),
    remedy: 'Choose another type; the student itself is not lost.',
  }),
  'export.tensor-differs': ({ path, name, reason }: { path: string; name: string; reason: string }): Sentences => ({
    message: `Tensor ${name} of ${path} is not what was written.`,
    reason,
    remedy: 'Check the disk, then export again.',
  }),
  'export.folder-tensor-differs': ({ path, name }: { path: string; name: string }): Sentences => ({
    message: `Tensor ${name} of ${path} is not what was written.`,
    reason: 'The exported folder was read back and compared with the student.',
    remedy: 'Check the disk, then export again.',
  }),
  'export.tensor-count': ({ path, count, expected }: { path: string; count: number; expected: number }): Sentences => ({
    message: `${path} holds ${count} tensors instead of ${expected}.`,
    remedy: 'Check the disk, then export again.',
  }),
  'convert.not-ternary': ({ model }: { model: string }): Sentences => ({
    message: `${model} is not ternary, so there is nothing to write as it is.`,
    reason: 'Only a BitNet can be converted without training.',
    remedy: 'Make a ternary student of it: tritsmith run --teacher <model> --train <table>.',
  }),
  'convert.type': ({ type }: { type: string }): Sentences => ({
    message: `A model is not converted to ${type}.`,
    remedy: 'Choose i2_s, q2_0, tq2_0 or tq1_0.',
  }),
  'convert.exists': ({ path }: { path: string }): Sentences => ({
    message: `${path} is there already.`,
    remedy: 'Name another file, or move that one away.',
  }),
  'export.ternary-as-dense': ({ type }: { type: string }): Sentences => ({
    message: `A model that is ternary already is not written as ${type}.`,
    reason:
      'Its latent weights in higher precision would be another model: only rounded do they compute what it computes.',
    remedy: 'Choose a ternary type, such as i2_s.',
  }),
  'export.only-ternary-folders': (): Sentences => ({
    message: 'Only a ternary student is exported as a "bitnet" folder.',
    remedy: 'The teacher is a Hugging Face folder already: see the experiment\'s "teacher" folder.',
  }),
  'export.folder-rows': ({ name, rows }: { name: string; rows: number }): Sentences => ({
    message: `Tensor "${name}" can't be packed for a Hugging Face folder.`,
    reason: `Four rows share a byte; it has ${rows}.`,
    remedy: 'Choose another export type.',
  }),
  'export.folder-fused': ({ family }: { family: string }): Sentences => ({
    message: `A student of ${family} fits no Hugging Face folder of ternary layers.`,
    reason:
      'Its class keeps several projections in one matrix, which has room for one scale; the student has one for each.',
    remedy: 'Export it as GGUF or ONNX.',
  }),
  'export.folder-norms': ({ family }: { family: string }, names: Names): Sentences => ({
    message: `A student of ${family} with SubLN before o_proj and down_proj alone fits no Hugging Face folder of ternary layers.`,
    reason: 'Such a folder has a norm before every projection, and this family has none before the others.',
    remedy: `Export it as GGUF or ONNX, or train it with SubLN before all seven (${names.setting('refine.subln')} at "all").`,
  }),
  'export.onnx-too-large': ({ size }: { size: number }): Sentences => ({
    message: 'This student is too large for one ONNX file.',
    reason: `It would have ${size} bytes; a file ends at 2 GiB.`,
    remedy: 'Export it as GGUF.',
  }),
  'export.onnx-constant': ({
    name,
    bytes,
    expected,
  }: {
    name: string;
    bytes: number;
    expected: number;
  }): Sentences => ({
    message: `"${name}" has ${bytes} bytes of ${expected}.`,
  }),
  'export.dropped-token': ({ token }: { token: number }): Sentences => ({
    message: `Token ${token} was dropped although the task uses it.`,
    remedy: 'Export without pruning the vocabulary.',
  }),
  'export.pruned-tokenizer': ({ text }: { text: string }): Sentences => ({
    message: 'The pruned tokenizer splits the text of the task otherwise.',
    reason: `It was ${text}.`,
    remedy: 'Export without pruning the vocabulary.',
  }),
  'export.check-failed': (
    { path, check, found }: { path: string; check: string; found: Told },
    _: Names,
    say: Say,
  ): Sentences => ({
    message: `The export ${path} did not pass its check "${check}".`,
    reason: say(found),
    remedy: unexpected,
  }),
  'export.onnx-check-failed': ({ path, found }: { path: string; found: Told }, _: Names, say: Say): Sentences => ({
    message: `The export ${path} did not pass its check in ONNX Runtime.`,
    reason: say(found),
    remedy: unexpected,
  }),
  'export.nothing-to-measure': ({ model }: { model: string }, names: Names): Sentences => ({
    message: `There is no exported file of ${model} to measure.`,
    remedy: `Make it anew with ${names.action('export.make')}.`,
  }),

  'inspect.unknown-file': ({ path, reason }: { path: string; reason: string }): Sentences => ({
    message: `${path} is neither a GGUF nor a safetensors file.`,
    reason,
    remedy: 'Name a .gguf or .safetensors file, or the folder of a Hugging Face model.',
  }),
  'inspect.folder': ({ folder, files }: { folder: string; files: readonly string[] }): Sentences => ({
    message: `The folder ${folder} holds no single file of weights.`,
    reason:
      files.length === 0
        ? 'It has neither a .safetensors nor a .gguf file.'
        : `It has ${files.length}: ${firstOf(files, 3)}.`,
    remedy: files.length === 0 ? 'Name the folder of a Hugging Face model, or a file.' : 'Name one of them.',
  }),
  'inspect.missing': ({ path }: { path: string }): Sentences => ({
    message: `There is no file or folder ${path}.`,
    remedy: 'Check the path.',
  }),
  'deploy.no-parent': ({ path }: { path: string }): Sentences => ({
    message: `There is no folder ${path}.`,
    remedy: 'Choose a folder that is there; a new one is made in it.',
  }),
  'deploy.not-empty': ({ path }: { path: string }): Sentences => ({
    message: `There is something in ${path} already.`,
    reason: 'Nothing is written over.',
    remedy: 'Choose another name, or empty the folder first.',
  }),
  'deploy.no-gguf': ({ type }: { type: string }): Sentences => ({
    message: `A folder to hand over is made around a GGUF file; this one is ${type}.`,
    remedy: 'Take the I2_S, Q2_0 or TQ2_0 file of the student.',
  }),
  'deploy.damaged-task': ({ path, problem }: { path: string; problem: string }): Sentences => ({
    message: `${path} cannot be used.`,
    reason: problem,
    remedy: 'Use the folder as it was handed over, or ask for a new one.',
  }),
  'export.none-that-answers': ({ experiment }: { experiment: string }): Sentences => ({
    message: `There is no exported file of this model in ${experiment}.`,
    remedy: 'Let the experiment run to its end, or run its export again as I2_S with the whole vocabulary.',
  }),
  'export.none-of-type': ({ experiment, type }: { experiment: string; type: string }, names: Names): Sentences => ({
    message: `There is no ${type.toUpperCase()} file of this model in ${experiment}.`,
    remedy: `Make it with ${names.action('export.make')}.`,
  }),
};
