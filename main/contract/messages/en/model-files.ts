/** Model files: GGUF, safetensors, config.json; what is damaged, lacking or of a kind that is not supported. */
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import { firstOf, type Say, type Sentences, type Told } from '../sentences.ts';

const again = 'Download the model again.';

/** What a model may ask for that the engine lacks: its name in a sentence, and what to choose instead. */
const lacking = {
  'attention-bias': ['a bias in its attention layers (attention_bias)', 'Choose a model of this family without it.'],
  'feed-forward-bias': ['a bias in its feed-forward layers (mlp_bias)', 'Choose a model without it.'],
  'sliding-window': ['sliding-window attention', 'Choose a model with full attention.'],
  'layer-type': ['a type of layer', 'Choose a model with full or sliding-window attention.'],
  activation: ['an activation', 'Choose a model with SiLU or tanh-GELU feed-forward layers (hidden_act).'],
  'bitlinear-norm': [
    'a norm inside each BitLinear (use_rms_norm)',
    'Choose a BitNet whose norms stand before its layers.',
  ],
  'unconverted-module': ['a linear layer that is not ternary', 'Choose a BitNet that is ternary throughout.'],
  'logit-cap': ['capped logits (softcapping)', 'Choose a newer model of this family.'],
  'two-way-attention': ['attention in both directions', 'Choose a model that generates text.'],
  'rope-scaling': ['a kind of rope scaling', 'Choose a model with plain, linear, Llama-3 or LongRoPE rotary scaling.'],
} as const;
export type LackingFeature = keyof typeof lacking;

const readableTypes = 'F32, F16, BF16, Q8_0, Q4_0 to Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS, I2_S, TQ2_0 or TQ1_0';

export const modelFiles = {
  'model.uses': ({ feature, value }: { feature: LackingFeature; value?: string | undefined }): Sentences => {
    const [what, remedy] = lacking[feature];
    return {
      message: `This model uses ${what}${value === undefined ? '' : ` ("${value}")`}, which Tritsmith can't train yet.`,
      remedy,
    };
  },
  'teacher.unusable': ({ problem }: { problem?: Told | undefined }, _: Names, say: Say): Sentences => ({
    message: 'This teacher cannot be used.',
    reason: problem === undefined ? undefined : say(problem),
    remedy: 'Choose another model folder.',
  }),
  'teacher.fetched-but-unusable': (
    { model, problem, folder }: { model: string; problem?: Told | undefined; folder: string },
    _: Names,
    say: Say,
  ): Sentences => ({
    message: `${model} is here, but it cannot be a teacher.`,
    reason: problem === undefined ? 'unknown' : say(problem),
    remedy: `Choose another model. It lies in ${folder}.`,
  }),
  'teacher.no-tokenizer': (): Sentences => ({
    message: 'It has no tokenizer that can be read.',
    remedy: 'Choose a model with tokenizer.json, vocab.json and merges.txt, or tokenizer.model.',
  }),
  'teacher.unusable-tokenizer': ({ problem }: { problem: Told }, _: Names, say: Say): Sentences => ({
    message: `No usable tokenizer: ${say(problem)}`,
  }),
  'teacher.no-end-of-text': (): Sentences => ({
    message: 'The tokenizer names no end-of-text token; generation would not know when to stop.',
  }),
  'teacher.tensor-lacks': ({ name }: { name: string }): Sentences => ({
    message: `The weights lack the tensor ${name}.`,
    remedy: 'Take config.json and weights from one place, or get the model again.',
  }),
  'teacher.tensor-shape': ({
    name,
    stored,
    wanted,
  }: {
    name: string;
    stored: readonly number[];
    wanted: readonly number[];
  }): Sentences => ({
    message: `The tensor ${name} is [${stored.join(', ')}], config.json asks for [${wanted.join(', ')}].`,
    remedy: 'Take config.json and weights from one place, or get the model again.',
  }),
  'teacher.head-although-tied': ({ name }: { name: string }): Sentences => ({
    message: `config.json ties the head to the embedding, but the weights hold another one (${name}), which is used.`,
    reason: 'So do transformers 5 and later; older versions drop it and then write other text than this teacher.',
  }),
  'teacher.head-left-out': (): Sentences => ({
    message:
      'The weights hold no head and config.json does not say whether one is needed: the embedding serves as the head.',
  }),
  'teacher.trunk-alone': ({ className }: { className: string }): Sentences => ({
    message: `It was saved as ${className}, without the head that writes text; the embedding serves as the head.`,
    reason: 'A model that was trained to compare texts (an embedding model) will be a poor teacher.',
  }),
  'teacher.beside': ({ count, names }: { count: number; names: readonly string[] }): Sentences => ({
    message: `${count} tensors are no part of the language model and are left out (${firstOf(names, 3)}${count > 3 ? ', …' : ''}).`,
  }),
  'teacher.own-code': (): Sentences => ({
    message:
      'config.json names code of its own (auto_map), which is not run: the model is read as others of its family.',
  }),
  'model.packed-scale': ({ name }: { name: string }): Sentences => ({
    message: `The scale ${name} is no positive number.`,
    remedy: again,
  }),
  'model.packed-code': ({ name }: { name: string }): Sentences => ({
    message: `The packed weights ${name} hold a code that stands for no ternary value.`,
    remedy: again,
  }),
  'teacher.ternary': (): Sentences => ({
    message:
      'It is a BitNet: ternary from its pre-training, with the latent weights. It is fine-tuned on your task as it is: ternary from the first step, without a stage that converts it.',
    reason: 'Its student is the same model after your task; what it is compared with is the model before it.',
  }),
  'teacher.ternary-codes': (): Sentences => ({
    message:
      'It is a BitNet with packed weights: the codes -1, 0 and +1 and a scale for each matrix. It can be run, measured, inspected and written as a file that runs (tritsmith convert), but not trained.',
    reason: 'Training moves the latent weights that the codes were rounded from, and these are not in it.',
    remedy:
      'To fine-tune it, choose the folder with the latent weights in BF16, which is published beside it (its name ends in -bf16).',
  }),
  'teacher.ternary-unsaid': (): Sentences => ({
    message:
      'config.json does not say that the weights are rounded (quantization_config is missing), as a BitNet must; they are read as its latent weights all the same. Other programs compute another model from this folder.',
  }),
  'model.quantised': ({ quantisation, original }: { quantisation: string; original: string | null }): Sentences => ({
    message: `The weights of this model are quantised (${quantisation}).`,
    reason: 'A teacher is trained, for which its weights have to be BF16, F16 or F32.',
    remedy: `Choose the model from which it was made${original === null ? '' : `, ${original}`}, or a GGUF file of it.`,
  }),
  'model.writes-no-text': ({ className, original }: { className: string; original: string | null }): Sentences => ({
    message: `This is a ${className}, which does not predict the next word.`,
    reason: 'Its head gives classes, scores or spans; a teacher has to be a causal language model.',
    remedy: `Choose the language model from which it was made${original === null ? ' (a …ForCausalLM)' : `, ${original}`}; it learns your classes from your rows.`,
  }),
  'model.no-head': ({ name }: { name: string }): Sentences => ({
    message: `The weights lack the head (${name}), and config.json says that the embedding is not used for it (tie_word_embeddings: false).`,
    remedy: 'Download the model again, or choose one that was saved as a causal language model (…ForCausalLM).',
  }),
  'model.surplus': ({ count, names }: { count: number; names: readonly string[] }): Sentences => ({
    message: `The weights hold ${count} tensors for which a model as config.json describes it has no place (${firstOf(names, 5)}${count > 5 ? ', …' : ''}).`,
    reason: 'Without them it would compute something else.',
    remedy: 'Take config.json and weights from one place; if they are, this variant of the family is not supported.',
  }),
  'adapter.needs-base': ({ base }: { base: string | null }, names: Names): Sentences => ({
    message: `This folder holds a LoRA adapter, a small change of a base model${base === null ? '' : ` (${base})`}.`,
    remedy: names.action('adapter.merge'),
  }),
  'adapter.none': ({ folder }: { folder: string }): Sentences => ({
    message: `${folder} holds no LoRA adapter.`,
    remedy: 'Choose the folder with adapter_config.json and adapter_model.safetensors.',
  }),
  'adapter.kind': ({ what }: { what: string }): Sentences => ({
    message: `This adapter is of a kind that can't be merged here (${what}).`,
    reason: 'LoRA, rank-stabilised LoRA and DoRA of a causal language model can.',
    remedy: 'Merge it with the program that made it (peft: merge_and_unload) and add the merged folder.',
  }),
  'adapter.lacks-part': ({ file, name }: { file: string; name: string }): Sentences => ({
    message: `${file} lacks the tensor "${name}".`,
    reason: 'A LoRA change consists of two matrices, A and B, and one is missing.',
    remedy: 'Get the adapter again.',
  }),
  'adapter.no-alpha': ({ module }: { module: string }): Sentences => ({
    message: `adapter_config.json gives no usable lora_alpha for ${module}.`,
    remedy: 'Get the adapter again.',
  }),
  'adapter.no-place': ({ folder, name }: { folder: string; name: string }): Sentences => ({
    message: `The adapter in ${folder} changes ${name}, which the base does not have.`,
    remedy: 'Choose the base that the adapter was trained on.',
  }),
  'adapter.other-shape': ({
    folder,
    name,
    shape,
  }: {
    folder: string;
    name: string;
    shape: readonly number[];
  }): Sentences => ({
    message: `The adapter in ${folder} does not fit ${name} of the base, which is [${shape.join(', ')}].`,
    remedy: 'Choose the base that the adapter was trained on.',
  }),
  'teacher.quantised': ({ bits, types }: { bits: number; types: readonly string[] }): Sentences => ({
    message: `Its weights are quantised to ${bits.toFixed(1)} bits (${types.join(', ')}), so it is a little worse than the original: where you have that in 16 bits, it is the better teacher.`,
  }),
  'teacher.padded': ({
    chosen,
    bodyBytes,
    tableBytes,
  }: {
    chosen: string;
    bodyBytes: number;
    tableBytes: number;
  }): Sentences => ({
    message:
      `Rows of this model are no multiple of 128. As I2_S, for bitnet.cpp, zeros make its student wider: its answers stay the same, the linear layers take ${bytesInWords(bodyBytes)} more and the embedding ${bytesInWords(tableBytes)} more. ${chosen === 'q2_0' ? 'Q2_0 holds it as it is and is the default.' : ''}`.trim(),
  }),
  'teacher.no-gguf': ({ why }: { why: Told }, _: Names, say: Say): Sentences => ({
    message: 'No GGUF file that other programs run can hold the student, so it is exported as a Hugging Face folder.',
    reason: say(why),
  }),
  'model.unknown-type': ({ type, families }: { type: string; families: readonly string[] }): Sentences => ({
    message: `Models of type "${type}" are not supported.`,
    remedy: `Choose a model of one of these families: ${families.join(', ')}.`,
  }),
  'model.no-configuration': ({ folder }: { folder: string }): Sentences => ({
    message: `There is no model in ${folder}: it has no config.json.`,
    remedy: 'Choose the folder that holds config.json, the *.safetensors files and the tokenizer.',
  }),
  'configuration.invalid-json': ({ problem }: { problem: string }): Sentences => ({
    message: 'config.json is not valid JSON.',
    reason: problem,
    remedy: again,
  }),
  'configuration.no-type': (): Sentences => ({
    message: 'config.json does not say what kind of model this is (no "model_type").',
    remedy: 'Choose the folder of a complete Hugging Face model.',
  }),
  'configuration.settings': ({ problems }: { problems: readonly string[] }): Sentences => ({
    message: 'config.json lacks settings that the model needs, or they are wrong.',
    reason: problems.join('; '),
    remedy: again,
  }),
  'configuration.rope': ({ kind, key }: { kind: string; key: string }): Sentences => ({
    message: `config.json: rope scaling "${kind}" has no usable "${key}".`,
    remedy: 'Download the model again; its config.json is incomplete.',
  }),
  'configuration.key-value-heads': ({ heads, kvHeads }: { heads: number; kvHeads: number }): Sentences => ({
    message: `config.json: ${heads} attention heads can't be shared by ${kvHeads} key-value heads.`,
    remedy: 'Download the model again; its config.json is wrong.',
  }),
  'configuration.head-size': ({ headSize }: { headSize: number }): Sentences => ({
    message: `config.json: the head size ${headSize} is not an even whole number.`,
    remedy: 'Download the model again; its config.json is wrong.',
  }),
  'configuration.rotary-size': ({ rotated }: { rotated: number }): Sentences => ({
    message: `config.json: ${rotated} rotated dimensions of a head are no even number, or the factors of its rope scaling are not half as many.`,
    remedy: 'Download the model again; its config.json is wrong.',
  }),
  'configuration.layer-types': ({ types, layers }: { types: number; layers: number }): Sentences => ({
    message: `config.json describes ${types} of ${layers} layers (layer_types, no_rope_layers).`,
    remedy: 'Download the model again; its config.json is wrong.',
  }),
  'model.lacks-tensor': ({
    folder,
    name,
    architecture,
  }: {
    folder: string;
    name: string;
    architecture: string;
  }): Sentences => ({
    message: `The model in ${folder} lacks the tensor ${name}.`,
    reason: `Its config.json describes a ${architecture} model, which needs it.`,
    remedy: 'Download the model again; weights and config.json do not belong together.',
  }),
  'model.tensor-shape': ({
    folder,
    name,
    shape,
    expected,
  }: {
    folder: string;
    name: string;
    shape: readonly number[];
    expected: readonly number[];
  }): Sentences => ({
    message: `Tensor ${name} in ${folder} has the wrong shape.`,
    reason: `It is [${shape.join(', ')}]; config.json asks for [${expected.join(', ')}].`,
    remedy: 'Weights and config.json do not belong together: take both from one place, or download the model again.',
  }),

  'tensor.absent': ({ path, name }: { path: string; name: string }): Sentences => ({
    message: `${path} holds no tensor "${name}".`,
    remedy: 'Check that it is the right file and that it is complete.',
  }),
  'tensor.count': ({
    path,
    name,
    count,
    expected,
  }: {
    path: string;
    name: string;
    count: number;
    expected: number;
  }): Sentences => ({
    message: `Tensor "${name}" in ${path} has ${count} values, ${expected} were expected.`,
    remedy: 'Check that the file belongs to this model.',
  }),
  'tensor.range': ({
    path,
    name,
    begin,
    end,
  }: {
    path: string;
    name: string;
    begin: number;
    end: number;
  }): Sentences => ({ message: `Bytes ${begin} to ${end} are outside tensor "${name}" of ${path}.` }),
  'tensor.not-a-number': ({
    name,
    bad,
    value,
    index,
    count,
  }: {
    name: string;
    bad: number;
    /** The first value that is no number, as text: JSON has none for it. */
    value: string;
    index: number;
    count: number;
  }): Sentences => ({
    message: `Tensor "${name}" holds ${bad} values that are no numbers.`,
    reason: `The first is ${value} at index ${index} of ${count}; training ran away or the file is damaged.`,
    remedy: 'Download the checkpoint again or use an earlier one.',
  }),
  'tensor.not-writable': ({
    path,
    name,
    why,
  }: {
    path: string;
    name: string;
    why: 'taken' | 'too-long' | 'shape';
  }): Sentences => ({
    message: `Tensor "${name}" can't be written to ${path}.`,
    reason: {
      taken: 'The name is taken.',
      'too-long': 'Its name or shape is too long for GGUF.',
      shape: 'Its shape is impossible.',
    }[why],
  }),
  'tensor.bytes': ({ name, bytes, expected }: { name: string; bytes: number; expected: number }): Sentences => ({
    message: `Tensor "${name}" has ${bytes} bytes instead of ${expected}.`,
  }),

  'gguf.version': ({ file, version }: { file: string; version: number }): Sentences => ({
    message: `${file} has version ${version} of GGUF.`,
    reason: version > 0xffff ? 'It was written for a big-endian machine.' : 'Versions 2 and 3 are read.',
    remedy: 'Convert the model again with a current converter.',
  }),
  /** `problem`: what the reader met; null where the header goes beyond the bound of 512 MB. */
  'gguf.damaged': ({ path, problem }: { path: string; problem: string | null }): Sentences => ({
    message: `${path} is not a whole GGUF file.`,
    reason: problem ?? 'Its header is larger than 512 MB.',
    remedy: 'Download or export the file again.',
  }),
  'gguf.tensor-type': ({ path, name, type }: { path: string; name: string; type: string }): Sentences => ({
    message: `Tensor "${name}" in ${path} is stored as ${type}, which can't be read.`,
    remedy: `Use a file in ${readableTypes}.`,
  }),
  'gguf.architecture': ({
    path,
    architecture,
    known,
  }: {
    path: string;
    architecture: string;
    known: readonly string[];
  }): Sentences => ({
    message: `${path} holds a model of the architecture "${architecture}", which can't be a teacher.`,
    reason: `GGUF files of these architectures can: ${known.join(', ')}.`,
    remedy: 'Choose another file, or the Hugging Face folder of the model.',
  }),
  'gguf.split': ({ path, parts }: { path: string; parts: number }): Sentences => ({
    message: `${path} is one of ${parts} parts of a model.`,
    reason: 'A GGUF file is read as a whole model.',
    remedy: 'Join the parts with "llama-gguf-split --merge", or choose the Hugging Face folder of the model.',
  }),
  'gguf.key': ({ path, key, problem }: { path: string; key: string; problem: 'lacks' | 'no-number' }): Sentences => ({
    message: `${path} does not describe its model.`,
    reason: problem === 'lacks' ? `It lacks the key "${key}".` : `Its key "${key}" is no number.`,
    remedy: 'Download the file again, or one that a current llama.cpp has converted.',
  }),
  'gguf.uneven-layers': ({ path, key }: { path: string; key: string }): Sentences => ({
    message: `The layers of the model in ${path} are not alike.`,
    reason: `"${key}" has several values.`,
    remedy: 'Choose a model whose layers have one shape.',
  }),
  'gguf.setting': ({ path, key }: { path: string; key: string }): Sentences => ({
    message: `The model in ${path} uses "${key}" in a way that Tritsmith can't train yet.`,
    remedy: 'Choose another file, or the Hugging Face folder of the model.',
  }),
  'gguf.strange-tensor': ({
    path,
    name,
    architecture,
  }: {
    path: string;
    name: string;
    architecture: string;
  }): Sentences => ({
    message: `The model in ${path} has the tensor "${name}", which has no place in a ${architecture} model here.`,
    reason: 'Left out, the model would compute something else.',
    remedy: 'Choose another file, or the Hugging Face folder of the model.',
  }),
  'gguf.ternary-teacher': ({ path, type }: { path: string; type: string }): Sentences => ({
    message: `The weights in ${path} are ternary already (${type}).`,
    reason: 'A teacher is a model in higher precision, from which a ternary student learns.',
    remedy: 'Choose the model that this one was made from.',
  }),
  'gguf.several-scales': ({ path, name }: { path: string; name: string }): Sentences => ({
    message: `The ternary matrix ${name} in ${path} has several scales.`,
    reason: 'A BitNet has one for each matrix; its weights were rounded by another program.',
    remedy: 'Choose the published file, or the model that this one was made from.',
  }),
  'gguf.metadata-not-writable': ({ path, problem }: { path: string; problem: string }): Sentences => ({
    message: `The metadata of ${path} can't be written.`,
    reason: problem,
  }),
  'packing.blocks': ({ count, type, block }: { count: number; type: string; block: number }): Sentences => ({
    message: `${count} values can't be stored as ${type}.`,
    reason: `${type} packs blocks of ${block} values.`,
    remedy: 'Choose another export type.',
  }),
  'packing.unreadable-type': ({ type }: { type: string }): Sentences => ({
    message: `Tensors of type ${type} can't be read.`,
    remedy: `Use a file in ${readableTypes}.`,
  }),
  'packing.not-ternary': ({ index, value }: { index: number; value: string }): Sentences => ({
    message: 'Weights that are not ternary were about to be packed.',
    reason: `The value at index ${index} is ${value}; only -1, 0 and 1 can be packed.`,
  }),
  'packing.three-of-four': ({ index }: { index: number }): Sentences => ({
    message: "These weights can't be stored as T3_4.",
    reason: `Of the four from index ${index} not exactly three differ from 0.`,
    remedy: 'Choose another export type.',
  }),
  'packing.matrix': ({ rows, columns, values }: { rows: number; columns: number; values: number }): Sentences => ({
    message: `A matrix of ${rows} x ${columns} has ${values} values.`,
  }),
  'packing.row': ({
    name,
    type,
    multiple,
    columns,
  }: {
    name: string;
    type: string;
    multiple: number;
    columns: number;
  }): Sentences => ({
    message: `Tensor "${name}" can't be stored as ${type}.`,
    reason: `${type} needs rows of a multiple of ${multiple} values, this one has ${columns}.`,
    remedy: 'Choose another export type, or a student whose widths are such multiples.',
  }),
  'packing.i2s-rows': ({ name, rows }: { name: string; rows: number }): Sentences => ({
    message: `Tensor "${name}" can't be stored as I2_S.`,
    reason: `I2_S kernels work on four rows at a time, this tensor has ${rows}.`,
    remedy: 'Choose another export type, or a student whose widths are multiples of 128.',
  }),

  'safetensors.damaged': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} is not a whole safetensors file.`,
    reason,
    remedy: 'Download or copy the file again.',
  }),
  'safetensors.unknown-dtype': ({
    file,
    name,
    dtype,
    known,
  }: {
    file: string;
    name: string;
    dtype: string;
    known: readonly string[];
  }): Sentences => ({
    message: `Tensor ${name} in ${file} has the unknown dtype ${dtype}.`,
    remedy: `Convert the model to one of ${known.join(', ')}.`,
  }),
  'safetensors.no-floats': ({ path, name, dtype }: { path: string; name: string; dtype: string }): Sentences => ({
    message: `Tensor "${name}" in ${path} holds ${dtype}, not floating-point values.`,
    remedy: 'Use a checkpoint in BF16, F16 or F32; quantised checkpoints have to be converted back first.',
  }),
  'shards.none-listed': ({ file }: { file: string }): Sentences => ({
    message: `${file} lists no tensors.`,
    remedy: again,
  }),
  'shards.odd-name': ({ file, tensor, shard }: { file: string; tensor: string; shard: string }): Sentences => ({
    message: `${file} names a shard that is no plain file name.`,
    reason: `Tensor "${tensor}" is said to be in ${shard}; shards must lie beside the index.`,
    remedy: 'Get the model from a source that you trust.',
  }),
  'shards.too-many': ({ folder, count, most }: { folder: string; count: number; most: number }): Sentences => ({
    message: `${folder} has ${count} shards; at most ${most} are supported.`,
    remedy: 'Choose a smaller model, or write it again with larger shards.',
  }),
  'shards.missing': ({
    folder,
    index,
    missing,
    count,
  }: {
    folder: string;
    index: string;
    missing: readonly string[];
    count: number;
  }): Sentences => ({
    message: `${folder} lacks ${missing.length} of its ${count} weight files.`,
    reason: `${index} names ${firstOf(missing, 5)}.`,
    remedy: 'Download the missing files into the folder.',
  }),
  'shards.lack-tensor': ({ file, index, tensor }: { file: string; index: string; tensor: string }): Sentences => ({
    message: `${file} lacks the tensor "${tensor}".`,
    reason: `${index} says that it is there.`,
    remedy: 'Download the model again: index and shards are of different versions.',
  }),
  'shards.twice': ({ tensor, first, second }: { tensor: string; first: string; second: string }): Sentences => ({
    message: `Tensor "${tensor}" is in two weight files.`,
    reason: `${first} and ${second} both hold it.`,
    remedy: 'Download the model again: its shards are of different versions.',
  }),
  'weights.none': ({
    folder,
    single,
    index,
    other,
  }: {
    folder: string;
    single: string;
    index: string;
    other?: string | undefined;
  }): Sentences => ({
    message: `${folder} holds no ${single} and no ${index}.`,
    reason: other === undefined ? undefined : `It has ${other}, a format that is not read.`,
    remedy: 'Choose the folder of a Hugging Face model with safetensors weights.',
  }),
  'weights.pickled': ({ folder, name }: { folder: string; name: string }): Sentences => ({
    message: `The weights in ${folder} are pickled (${name}).`,
    reason: 'Reading such a file can run any program that is hidden in it, so it is not opened.',
    remedy:
      'Get the model as safetensors (most pages on the Hub have it, some on the branch refs/convert/safetensors or in a pull request), or as a GGUF file.',
  }),
  'weights.lack-tensor': ({ folder, name }: { folder: string; name: string }): Sentences => ({
    message: `The model in ${folder} lacks the tensor "${name}".`,
    remedy: 'Check that the weights belong to this architecture and that the download is complete.',
  }),
};
