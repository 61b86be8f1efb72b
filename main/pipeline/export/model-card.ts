/** README.md of an exported Hugging Face folder: what it is, how it was made, how good it is, how to load it. */
import { percent } from '../../contract/quantities.ts';
import { lastPart } from '../../contract/local-path.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { ModelEvaluation } from '../../contract/results.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { countParameters } from '../../models/parameters.ts';

export interface CardFacts {
  readonly name: string;
  readonly recipe: Recipe;
  readonly configuration: ModelConfiguration;
  readonly evaluation: ModelEvaluation | null;
}

const placements = {
  none: 'none',
  paper: 'before o_proj and down_proj',
  all: 'before all seven projections',
};

function trainingLines(recipe: Recipe): string[] {
  const { cut, refine, calibrate, pretrain, distil, finetune } = recipe;
  const length = ({ steps, epochs }: { steps?: number | undefined; epochs: number }): string =>
    steps === undefined ? `${epochs} epochs` : `${steps} steps`;
  return [
    finetune ? `- Teacher: fine-tuned for ${length(finetune)}.` : '- Teacher: taken as it was.',
    ...(cut ? [`- Cut: ${cut.layers} of its layers stay, those that its answers need most.`] : []),
    `- Stage 1: SubLN ${placements[refine.subln]}${refine.dropQkvBias ? ', without QKV bias' : ''}.`,
    ...(calibrate
      ? [`- Start: the codes of ${calibrate.method.toUpperCase()}, calibrated on ${calibrate.rows} rows of the task.`]
      : []),
    pretrain ? `- Stage 2: continual pre-training on ${pretrain.tokens} tokens.` : '- Stage 2: none.',
    `- Stage 3: distillation for ${length(distil)}, logits weight ${distil.lambda}, attention-relation weight ${distil.gamma}, seed ${recipe.seed}.`,
  ];
}

/** The card in Markdown; names files only by their last part. */
export function modelCard({ name, recipe, configuration, evaluation }: CardFacts): string {
  const { body, total } = countParameters(configuration);
  const result = evaluation
    ? [
        '',
        '## Result',
        '',
        `${evaluation.metric === 'accuracy' ? 'Accuracy' : 'ROUGE-L'} on ${evaluation.rows} held-out rows: ` +
          `${percent(evaluation.value)} (95 % interval ${percent(evaluation.ci95[0])} to ${percent(evaluation.ci95[1])}).`,
      ]
    : [];
  return [
    '---',
    `base_model: ${JSON.stringify(lastPart(recipe.studentBase ?? recipe.teacher))}`,
    'library_name: transformers',
    'tags:',
    '  - bitnet',
    '  - 1.58-bit',
    '---',
    '',
    `# ${name}`,
    '',
    `A ternary (1.58-bit) student for the task "${recipe.task.name}", made with Tritsmith by BitNet Distillation (arXiv 2510.13998) from ` +
      `${lastPart(recipe.studentBase ?? recipe.teacher)}. Its ${body} weights in linear layers (of ${total} parameters) are -1, 0 or +1 times one ` +
      'scale a matrix; activations are rounded to int8 per token.',
    ...result,
    '',
    '## Making',
    '',
    ...trainingLines(recipe),
    '',
    '## Use',
    '',
    '```python',
    'from transformers import AutoModelForCausalLM, AutoTokenizer',
    'model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")',
    'tokenizer = AutoTokenizer.from_pretrained(folder)',
    '```',
    '',
    'Needs transformers 5 with accelerate. The licence is that of the base model and of the data it was trained on.',
    '',
  ].join('\n');
}
