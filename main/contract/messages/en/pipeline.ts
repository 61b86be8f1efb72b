/** What the jobs and answers need of recipes, rows and results. */
import { percent } from '../../quantities.ts';
import type { Names } from '../names.ts';
import { quoted, type Sentences } from '../sentences.ts';

const inThousands = (value: number): string => value.toLocaleString('en');

export const pipeline = {
  'recipe.tokenizers-differ': (): Sentences => ({
    message: 'Teacher and student base have different tokenizers.',
    reason: 'The student learns from what the teacher says about each token, so both must cut text alike.',
    remedy: 'Choose two models of one family, such as Qwen3-1.7B and Qwen3-0.6B.',
  }),
  'recipe.not-ternary': (): Sentences => ({
    message: 'The recipe trains a model further that is ternary already (continueTernary), but its teacher is not.',
    remedy: 'Take continueTernary out of the recipe: the teacher is then made ternary in the usual stages.',
  }),
  'recipe.ternary-already': (): Sentences => ({
    message: 'This model is ternary already, so it is trained further as it is.',
    reason:
      'There is nothing to convert: no teacher is fine-tuned in full precision, no layers are calibrated or reconstructed, no smaller base or baseline stands beside it, and there is no teacher to answer rows without labels.',
    remedy:
      'Leave out calibration, reconstruction, baseline, student base and rows without labels; in a recipe: continueTernary true, finetune null, baseline false.',
  }),
  'recipe.only-codes': ({ path }: { path: string }): Sentences => ({
    message: `The weights in ${path} are ternary codes, which can't be trained.`,
    reason: 'Training moves the latent weights that the codes were rounded from, and these are not in it.',
    remedy: 'Choose the folder with the latent weights in BF16, which is published beside it (its name ends in -bf16).',
  }),
  'recipe.start-of-another-shape': (_: undefined, names: Names): Sentences => ({
    message: "A student with a base of its own can't start from the fine-tuned teacher.",
    reason: 'The two have different shapes.',
    remedy: `Set ${names.setting('distil.studentInit')} to "base".`,
  }),
  'recipe.nothing-to-cut': ({ keep, layers }: { keep: number; layers: number }, names: Names): Sentences => ({
    message: `There is nothing to cut: ${keep} of ${layers} layers are to stay.`,
    remedy: `Choose fewer than ${layers} (${names.setting('cut.layers')}), or do not cut.`,
  }),
  'quantisation.group': (
    { projection, columns, group }: { projection: string; columns: number; group: number },
    names: Names,
  ): Sentences => ({
    message: `Groups of ${group} columns don't fit this model.`,
    reason: `The rows of ${projection} have ${columns} columns, which ${group} does not divide.`,
    remedy: `Choose another number (${names.setting('quantisation.weights.group')}), one scale a row, or one a matrix.`,
  }),
  'quantisation.formula': ({ scale, own }: { scale: string; own: 'tensor' | 'row' }, names: Names): Sentences => ({
    message: `The formula ${scale} is one of ${own === 'row' ? 'rows' : 'whole matrices'}.`,
    remedy: `Choose "${own}" (${names.setting('quantisation.weights.group')}) or leave it out.`,
  }),
  'quantisation.sparsity': (
    { projection, columns, sparsity }: { projection: string; columns: number; sparsity: string },
    names: Names,
  ): Sentences => ({
    message: `The sparsity ${sparsity} does not fit this model.`,
    reason: `The rows of ${projection} have ${columns} columns, which are no whole number of such groups.`,
    remedy: `Choose another one (${names.setting('quantisation.weights.sparsity')}), or none.`,
  }),
  'quantisation.exact-scale': ({ scale }: { scale: string }, names: Names): Sentences => ({
    message: `"exactly-3:4" does not go with the size ${scale}.`,
    reason: 'Its weights are signs, and their size is the mean of what is kept.',
    remedy: `Leave the size at absmean (${names.setting('quantisation.weights.scale')}), or choose another rule (${names.setting('quantisation.weights.sparsity')}).`,
  }),
  'quantisation.learned-sparsity': ({ sparsity }: { sparsity: string }, names: Names): Sentences => ({
    message: `A learned size does not go with the sparsity ${sparsity}.`,
    reason: 'What a weight says of the size is known for weights that are rounded, not for those that are 0 by rule.',
    remedy: `Choose absmean or absmedian (${names.setting('quantisation.weights.scale')}), or no sparsity (${names.setting('quantisation.weights.sparsity')}).`,
  }),
  'recipe.exact-soften': (_: undefined, names: Names): Sentences => ({
    message: "Weights of which exactly three of four are not 0 can't harden softly.",
    reason: 'Soft weights are near 0 where the latent ones are, and here such a weight may be one that is kept.',
    remedy: `Set ${names.setting('pretrain.soften')}, ${names.setting('distil.soften')} and ${names.setting('reconstruct.soften')} to 0 or leave them out, or choose another rule (${names.setting('quantisation.weights.sparsity')}).`,
  }),
  'quantisation.hadamard': (
    { projection, columns, block }: { projection: string; columns: number; block: number },
    names: Names,
  ): Sentences => ({
    message: 'This model has nothing that a Hadamard matrix could mix.',
    reason: `It turns blocks of a power of two, and ${block} is the largest one that divides the ${columns} inputs of ${projection}; below 16 an outlier stays one.`,
    remedy: `Leave it out (${names.setting('quantisation.activations.hadamard')}), or take another model.`,
  }),
  'recipe.calibrate-quantisation': ({ method }: { method: string }): Sentences => ({
    message: `A student can't start from ${method.toUpperCase()}'s codes with this quantisation.`,
    reason:
      'Its latent weights carry the codes and their size, which absmean gives back exactly; the median, or weights that must be 0 by rule, would make other codes of them.',
    remedy:
      'Leave the calibration out, or take absmean or a learned size without a sparsity; scales for rows or columns are fine.',
  }),
  'recipe.calibrate-hadamard': ({ method }: { method: string }, names: Names): Sentences => ({
    message: `A student whose inputs are turned can't start from ${method.toUpperCase()}'s codes.`,
    reason: 'The calibration looks at the inputs of each layer as they are before they are turned.',
    remedy: `Leave the calibration or the Hadamard matrix (${names.setting('quantisation.activations.hadamard')}) out.`,
  }),
  'recipe.ternary-hadamard': (_: undefined, names: Names): Sentences => ({
    message: 'A base that is ternary already keeps its inputs as they are.',
    reason: 'Codes of turned weights are other codes: what was trained would be lost.',
    remedy: `Set ${names.setting('quantisation.activations.hadamard')} as the base has it.`,
  }),
  'recipe.no-such-layer': ({ layer, layers }: { layer: number; layers: number }, names: Names): Sentences => ({
    message: `The distillation layer ${layer} does not exist.`,
    reason: `The teacher has ${layers} layers, numbered 0 to ${layers - 1}; negative numbers count from the end.`,
    remedy: `Choose another layer (${names.setting('distil.layer')}); the last, -1, is the usual one for small models.`,
  }),
  'recipe.widths-differ': ({ teacher, student }: { teacher: number; student: number }, names: Names): Sentences => ({
    message: "The student cannot learn the teacher's last hidden states: the two have different widths.",
    reason: `The teacher's are ${teacher} wide, the student's ${student}.`,
    remedy: `Leave ${names.setting('distil.hidden')} empty.`,
  }),
  'recipe.value': ({ field, problem }: { field: string; problem: string }): Sentences => ({
    message: `The recipe cannot have this value of ${field}.`,
    reason: problem,
    remedy: 'Give it another value, or leave it out: then it has its usual one.',
  }),
  'rows.no-column': ({
    file,
    missing,
    columns,
    naming,
  }: {
    file: string;
    missing: readonly string[];
    columns: readonly string[];
    naming: 'chosen' | 'as-in-training';
  }): Sentences => ({
    message: `${file} has no column ${missing.map((name) => `"${name}"`).join(', ')}.`,
    reason: `Its columns are ${columns.map((name) => `"${name}"`).join(', ')}.`,
    remedy:
      naming === 'chosen' ? 'Choose the text and label columns again.' : 'Name the columns as in the training rows.',
  }),
  'rows.none-usable': ({ path }: { path: string }): Sentences => ({
    message: `${path} holds no usable row.`,
    remedy: 'Check that the text and label columns are the right ones and not empty.',
  }),
  'more-rows.none': ({ path, labelled }: { path: string; labelled: number }): Sentences => ({
    message: `${path} holds no row without a label${labelled > 0 ? `: ${labelled} of its rows have one` : ''}.`,
    remedy:
      labelled > 0
        ? 'Put rows with labels into the training file, or take the label column away to have the teacher answer them.'
        : 'Check that it has the text columns of the training file and that they are not empty.',
  }),
  'teacher-writes.none': ({ attempts }: { attempts: number }): Sentences => ({
    message: `Not one of the ${attempts} rows that the teacher wrote is new.`,
    reason: 'They were empty, or like rows that there are already.',
    remedy:
      'Raise the temperature of its writing, or go on without rows that it writes: it may be too small for this text.',
  }),
  'rows.none-left': (): Sentences => ({
    message: 'No training row is left after holding rows out for evaluation.',
    remedy: 'Give a separate evaluation file, or more rows.',
  }),
  'rows.changed': ({ path }: { path: string }): Sentences => ({
    message: `${path} has changed while it was being read.`,
    remedy: 'Start again when nothing writes to it any more.',
  }),
  'rows.answers-too-large': ({ characters }: { characters: number }): Sentences => ({
    message: 'The answers of the evaluation rows do not fit in memory.',
    reason: `They hold more than ${characters.toLocaleString('en')} characters.`,
    remedy: 'Give an evaluation file with fewer rows.',
  }),
  'corpus.no-text': ({ corpus }: { corpus: string }): Sentences => ({
    message: `The corpus ${corpus} holds no text.`,
    remedy: 'Choose a text or JSONL file, or a folder of them.',
  }),
  'tokens.too-short': (): Sentences => ({
    message: 'Cached tokens are shorter than they should be.',
    remedy: 'Delete the cache folder of this experiment and resume.',
  }),
  'labels.unknown': ({ path, label, known }: { path: string; label: string; known: readonly string[] }): Sentences => ({
    message: `${path} has the label "${label}", which never occurs in the training rows.`,
    reason: `The training rows know ${quoted(known)}.`,
    remedy: 'Correct the label, or add training rows for it.',
  }),
  'labels.too-many': ({ column, most }: { column: string; most: number }): Sentences => ({
    message: `The label column "${column}" has too many values.`,
    reason: `There are more than ${most}: it looks like free text.`,
    remedy: 'Choose another label column, or the task kind "generation".',
  }),
  'labels.without-rows': ({ label, known }: { label: string; known: readonly string[] }): Sentences => ({
    message: `The class "${label}" has no training row.`,
    reason: `The training rows hold ${quoted(known)}.`,
    remedy: 'Add rows for it, or remove it from the label words.',
  }),
  'row.empty-text': (): Sentences => ({ message: 'no text' }),
  'row.empty-label': (): Sentences => ({ message: 'no label' }),
  'row.too-long': ({ maxLength }: { maxLength: number }): Sentences => ({
    message: `prompt and answer exceed ${maxLength} tokens; the middle of the text is lost`,
  }),
  'row.duplicate': (): Sentences => ({ message: 'the same text with the same label occurs earlier' }),
  'row.duplicate-conflict': (): Sentences => ({ message: 'the same text occurs earlier with another label' }),
  'row.unknown-label': (): Sentences => ({ message: 'the label never occurs in the training rows' }),
  'row.shared-between-splits': (): Sentences => ({ message: 'the text is also a training row' }),
  'labels.only-one': ({ label }: { label: string }): Sentences => ({
    message: `All training rows have the same label, "${label}".`,
    remedy: 'A classifier needs rows of at least two classes. Check the label column.',
  }),
  'labels.of-generation': ({ task }: { task: string }, names: Names): Sentences => ({
    message: `The task "${task}" has no labels.`,
    reason: 'Its students write text.',
    remedy: `Let it write, with ${names.action('text.write')}.`,
  }),
  'labels.like-free-text': ({ column, values }: { column: string; values: number }): Sentences => ({
    message: `"${column}" has ${values} values, which looks like free text: choose another label column, or free text as the kind of task.`,
  }),
  'labels.only-in-evaluation': ({ labels }: { labels: readonly string[] }): Sentences => ({
    message: `Evaluation rows have labels that no training row has: ${quoted(labels)}.`,
    remedy: 'Correct them, or add training rows.',
  }),
  'labels.one-prevails': ({ label, share }: { label: string; share: number }): Sentences => ({
    message: `${percent(share)} of the rows are "${label}": accuracy alone will say little.`,
  }),
  /** `all`: how many there are, of which `labels` are the first. */
  'labels.rare': ({
    labels,
    rows,
    all = labels.length,
  }: {
    labels: readonly string[];
    rows: number;
    all?: number | undefined;
  }): Sentences => ({
    message: `${all === 1 ? 'A label has' : `${inThousands(all)} labels have`} fewer than ${rows} training rows, too few to learn from: ${quoted(labels)}${all > labels.length ? ', …' : ''}.`,
  }),
  'rows.contradict': ({ rows }: { rows: number }): Sentences => ({
    message: `${rows} training rows contradict an earlier row with the same text.`,
  }),
  'rows.cut': ({ share }: { share: number }): Sentences => ({
    message: `${percent(share)} of the training rows are cut.`,
  }),
  'rows.shared': ({ rows, share }: { rows: number; share: number }): Sentences => ({
    message: `${rows} evaluation rows (${percent(share)}) are also training rows: the accuracy will flatter.`,
  }),
  'task.no-training-row': (): Sentences => ({
    message: 'No training row has both a text and a label.',
    remedy: 'Check which columns are the text and which is the label.',
  }),
  'task.no-evaluation-row': (): Sentences => ({ message: 'No evaluation row has both a text and a label.' }),
  /** `rows`: about how many there are. `training`: whether it is the file of training rows. */
  'task.only-first-rows': ({
    path,
    checked,
    rows,
    training,
  }: {
    path: string;
    checked: number;
    rows: number;
    training: boolean;
  }): Sentences => ({
    message: `Only the first ${inThousands(checked)} rows of ${path} were looked at; there are about ${inThousands(rows)}.`,
    remedy: training ? 'Training reads them all unless you set a limit.' : undefined,
  }),
  'task.held-out': ({ share, most }: { share: number; most: number }): Sentences => ({
    message: `No evaluation file: ${percent(share, 0)} of the training rows will be held out, at most ${inThousands(most)}.`,
  }),
  'task.rows-drawn': ({ rows, most }: { rows: number; most: number }): Sentences => ({
    message: `Of the ${inThousands(rows)} evaluation rows, ${inThousands(most)} will be evaluated, drawn at random: more would take hours and say no more.`,
  }),
  'labels.word-missing': ({ label }: { label: string }): Sentences => ({
    message: `No label word is given for the class "${label}".`,
    remedy: 'Give a word for every class, or for none.',
  }),
  'labels.same-answer': ({ words }: { words: readonly string[] }): Sentences => ({
    message: 'Two classes have the same answer in tokens.',
    reason: `The answers are ${words.map((word) => JSON.stringify(word)).join(', ')}.`,
    remedy: 'Give each class a label word of its own in the recipe.',
  }),
  'task.no-room-for-prompt': (
    { reserved, maxLength }: { reserved: number; maxLength: number },
    names: Names,
  ): Sentences => ({
    message: 'The answers leave no room for the prompt.',
    reason: `An answer may take ${reserved} tokens; the longest row is set to ${maxLength}.`,
    remedy: `Raise ${names.setting('task.maxLength')}, or lower ${names.setting('task.maxNewTokens')}.`,
  }),
  'prompt.empty': (): Sentences => ({
    message: 'The prompt is empty.',
    remedy: 'Give at least one character.',
  }),
  'results.not-evaluated': (): Sentences => ({
    message: 'These models have not been evaluated yet.',
    remedy: 'Wait for the stage "evaluate".',
  }),
  'results.of-other-rows': ({ answers, rows }: { answers: number; rows: number }): Sentences => ({
    message: 'The answers that were kept belong to other rows.',
    reason: `${answers} answers, ${rows} rows`,
    remedy: 'The data file has changed since. Evaluate the experiment again.',
  }),
  'results.damaged': ({ path, problem }: { path: string; problem: string }): Sentences => ({
    message: `${path} cannot be read.`,
    reason: problem,
    remedy: 'Run the evaluation and the export again.',
  }),
};
