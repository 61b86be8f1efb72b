/** What is compared: one recipe per way of making the student. All students of a task and seed take the same number of steps. */
import { keepBestSettings, type Recipe } from '../../main/contract/recipe.ts';
import { reconstructionOfPresets } from '../../main/pipeline/inspect/presets.ts';
import { sharedData } from '../../main/testing/shared-data.ts';

export interface Variant {
  readonly name: string;
  /** One line for the table. */
  readonly text: string;
  /** Changes of the main BitDistill recipe. */
  change(recipe: Recipe): Recipe;
  /** Takes the teacher's steps as well: what the same time buys without a teacher. */
  readonly teacherSteps?: true;
}

const distil =
  (changes: Partial<Recipe['distil']>) =>
  (recipe: Recipe): Recipe => ({ ...recipe, distil: { ...recipe.distil, ...changes } });

const subln =
  (placement: Recipe['refine']['subln']) =>
  (recipe: Recipe): Recipe => ({ ...recipe, refine: { ...recipe.refine, subln: placement } });

/** Tokens of Stage 2; its steps are taken from the distillation's. */
const stage2Tokens = 1_000_000;

const withStage2 = (recipe: Recipe): Recipe => ({
  ...recipe,
  pretrain: {
    corpus: sharedData('corpus', 'tinystories', 'tiny_stories_1m.txt'),
    tokens: stage2Tokens,
    sequenceLength: 256,
    optimiser: { ...recipe.distil.optimiser, batchSize: 16 },
  },
});

/** The variant that the presets take where the student starts from the teacher. */
const presetVariant = 'weak-attention';
/** BitNet-SFT for as long as BitDistill and its teacher take together: what a user without a teacher would do with the same time. */
const longerBaseline = 'bitnet-sft-longer';

/** What the README shows beside the main line. */
export const readmeVariants: readonly string[] = [presetVariant, longerBaseline];

/** Cross-entropy alone: the student learns from the labels only. */
const labelsOnly = { lambda: 0, gamma: 0 } as const;

/** The layers between the first, which has a variant of its own, and the last, which is the main recipe's. */
const middleLayers = (layers: number): Variant[] =>
  Array.from({ length: Math.max(0, layers - 2) }, (_, index) => ({
    name: `layer-${index + 2}`,
    text: `attention relation at layer ${index + 2} of ${layers}`,
    change: distil({ layer: index + 1 }),
  }));

/** What the paper ablates, for a teacher of so many layers. */
export const ablations = (layers: number): readonly Variant[] => [
  { name: 'from-base', text: 'started from the base, as in the paper', change: distil({ studentInit: 'base' }) },
  {
    name: 'from-base-stage-2',
    text: 'the same with Stage 2 (1 M tokens)',
    change: (recipe) => withStage2(distil({ studentInit: 'base' })(recipe)),
  },
  {
    name: longerBaseline,
    text: 'BitNet-SFT with the teacher’s steps on top of a student’s',
    change: (recipe) => subln('none')(distil({ ...labelsOnly, studentInit: 'base' })(recipe)),
    teacherSteps: true,
  },
  { name: 'labels-only', text: 'the same start as BitDistill, labels alone', change: distil(labelsOnly) },
  { name: 'logits-only', text: 'logits term alone (gamma 0)', change: distil({ gamma: 0 }) },
  {
    name: presetVariant,
    text: 'attention term balanced to a tenth of the other terms, not to half; the presets’ way',
    change: distil({ gammaRatio: 0.1 }),
  },
  { name: 'attention-only', text: 'attention-relation term alone (lambda 0)', change: distil({ lambda: 0 }) },
  { name: 'first-layer', text: 'attention relation at the first layer', change: distil({ layer: 0 }) },
  ...middleLayers(layers),
  { name: 'fixed-gamma', text: 'gamma 1e5 as in the paper', change: distil({ gamma: 1e5 }) },
  {
    name: 'subln-all',
    text: 'SubLN before all seven projections',
    // No GGUF file holds such a Llama student.
    change: (recipe) => ({ ...subln('all')(recipe), exports: [{ type: 'hf', embedding: 'f16' }] }),
  },
  { name: 'subln-none', text: 'no SubLN', change: subln('none') },
  {
    name: 'fixed-point-gradients',
    text: 'gradients of the ternary layers in 16-bit fixed point',
    change: (recipe) => ({ ...recipe, fixedPointGradients: true }),
  },
];

const learningRate =
  (factor: number) =>
  (recipe: Recipe): Recipe =>
    distil({
      optimiser: { ...recipe.distil.optimiser, learningRate: recipe.distil.optimiser.learningRate * factor },
    })(recipe);

const ternaryRate =
  (rate: number | 'auto') =>
  (recipe: Recipe): Recipe =>
    distil({ optimiser: { ...recipe.distil.optimiser, ternaryRate: rate } })(recipe);

const reconstructed = (recipe: Recipe): Recipe => ({ ...recipe, reconstruct: reconstructionOfPresets() });

/** Attention at a tenth, as in the presets, and the optimiser's settings changed. */
const optimiser = (changes: Partial<Recipe['distil']['optimiser']>) => (recipe: Recipe) =>
  distil({ gammaRatio: 0.1, optimiser: { ...recipe.distil.optimiser, ...changes } })(recipe);

/** What was tried, on validation rows, to choose the main recipe. */
export const choices: readonly Variant[] = [
  { name: 'annealed', text: 'full precision to ternary over half the steps', change: distil({ anneal: 0.5 }) },
  {
    name: 'briefly-annealed',
    text: 'full precision to ternary over a fifth of the steps',
    change: distil({ anneal: 0.2 }),
  },
  {
    name: 'gamma-ratio-1',
    text: 'attention term balanced to the other terms, not to half',
    change: distil({ gammaRatio: 1 }),
  },
  { name: 'lower-rate', text: 'two thirds of the learning rate', change: learningRate(2 / 3) },
  { name: 'higher-rate', text: 'one and a half times the learning rate', change: learningRate(1.5) },
  { name: 'ternary-auto', text: 'ternary rate “auto”, in units of delta', change: ternaryRate('auto') },
  { name: 'ternary-0.01', text: 'ternary rate of a hundredth of a bin', change: ternaryRate(0.01) },
  { name: 'reconstructed', text: 'windows of three layers reconstructed first', change: reconstructed },
  {
    name: 'reconstructed-slow',
    text: 'the same, then distilled with a ternary rate of a 200th of a bin',
    change: (recipe) => ternaryRate(0.005)(reconstructed(recipe)),
  },
  {
    name: 'best-step',
    text: 'the best step by accuracy on 256 training rows, not the last',
    change: (recipe) => ({ ...recipe, keepBest: keepBestSettings.parse({ measure: 'accuracy' }) }),
  },
  { name: 'tau-2', text: 'temperature 2', change: distil({ tau: 2 }) },
  {
    name: 'logits-all',
    text: 'logits term on all tokens, not the answer alone',
    change: distil({ logitsTokens: 'all' }),
  },
  {
    name: 'gamma-ratio-0.1',
    text: 'attention term balanced to a tenth of the other terms',
    change: distil({ gammaRatio: 0.1 }),
  },
  { name: 'labels-only', text: 'labels alone', change: distil(labelsOnly) },
  { name: 'logits-only', text: 'logits term alone (gamma 0)', change: distil({ gamma: 0 }) },
  { name: 'logits-only-tau-2', text: 'logits term alone, temperature 2', change: distil({ gamma: 0, tau: 2 }) },
  {
    name: 'logits-only-lambda-1',
    text: 'logits term alone, temperature 1, lambda 1',
    change: distil({ gamma: 0, tau: 1, lambda: 1 }),
  },
  {
    name: 'logits-only-all',
    text: 'logits term alone, on all tokens',
    change: distil({ gamma: 0, logitsTokens: 'all' }),
  },
  {
    name: 'logits-only-higher-rate',
    text: 'logits term alone, one and a half times the learning rate',
    change: (recipe) => learningRate(1.5)(distil({ gamma: 0 })(recipe)),
  },
  {
    name: 'logits-only-subln-none',
    text: 'logits term alone, no SubLN',
    change: (recipe) => subln('none')(distil({ gamma: 0 })(recipe)),
  },
  { name: 'weak-cosine', text: 'attention at a tenth, cosine schedule', change: optimiser({ schedule: 'cosine' }) },
  { name: 'weak-decay-0', text: 'attention at a tenth, no weight decay', change: optimiser({ weightDecay: 0 }) },
  { name: 'weak-decay-0.1', text: 'attention at a tenth, weight decay 0.1', change: optimiser({ weightDecay: 0.1 }) },
  { name: 'weak-beta2-0.98', text: 'attention at a tenth, beta2 0.98', change: optimiser({ beta2: 0.98 }) },
  { name: 'weak-warmup-0.2', text: 'attention at a tenth, warm-up over a fifth', change: optimiser({ warmup: 0.2 }) },
  {
    name: 'weak-subln-none',
    text: 'attention at a tenth, no SubLN',
    change: (recipe) => subln('none')(optimiser({})(recipe)),
  },
];
