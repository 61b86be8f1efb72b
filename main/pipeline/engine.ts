/** What trains by a recipe: the processor, or the graphics card once it is trusted. Scores are computed on the processor either way. */
import type { CardIdentity, CardState } from '../contract/cards.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { Recipe } from '../contract/recipe.ts';
import type { EngineOptions } from '../graph/backend.ts';
import { findWebGpu, requestCard } from '../graph/webgpu/component.ts';
import { identityOf, keptVerdict, openTrustedCard, type TrustedCard } from '../graph/webgpu/trust.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import type { TernaryArithmetic } from '../models/decoder-layer.ts';
import { layerProblem } from '../training/layer-check.ts';
import type { JobContext } from './job.ts';

/** A job has one card, whatever it trains on it. */
let card: Promise<TrustedCard> | null = null;

/** @throws TritsmithError where a recipe asks for the card and that cannot be */
export function assertEngine({ engine, shards, fixedPointGradients }: Recipe): void {
  if (engine !== 'gpu') return;
  if (shards !== undefined) throw new TritsmithError('unsupported', 'gpu.no-shards');
  if (fixedPointGradients) throw new TritsmithError('unsupported', 'gpu.no-fixed-point');
  if (findWebGpu() === null) throw new TritsmithError('not-found', 'gpu.not-installed');
}

const inWords = ({ name, driver }: CardIdentity): string => `${name} (${driver})`;

/** What a stage trains with; the card is opened, and checked where it never was, when this is first asked. */
export async function engineOf(
  recipe: Recipe,
  { emit }: Pick<JobContext, 'emit'>,
): Promise<{ options: EngineOptions; computesOn?: string }> {
  const { threads, engine } = recipe;
  if (engine !== 'gpu') return { options: { threads } };
  assertEngine(recipe);
  const say = (text: string): void => emit({ type: 'log', level: 'info', text });
  if (!card) {
    card = openTrustedCard((found) => say(`Checking the arithmetic of ${inWords(found)} before it trains.`));
    const { verdict } = await card;
    say(`Training on ${inWords(verdict.card)}: ${verdict.operations} operations were checked on it.`);
  }
  const { backend, verdict } = await card;
  return { options: { threads, backend }, computesOn: inWords(verdict.card) };
}

/** Shapes that were checked in this job. */
const checkedLayers = new Set<string>();

/**
 * Holds one layer of the shape that is to be trained against the processor, where a card trains it.
 * @throws TritsmithError `unsupported` where the card computes it wrongly
 */
export async function assertLayer(
  configuration: ModelConfiguration,
  { options: { backend, threads }, computesOn }: Awaited<ReturnType<typeof engineOf>>,
  arithmetic: TernaryArithmetic,
): Promise<void> {
  const key = JSON.stringify([{ ...configuration, layers: 1 }, arithmetic]);
  if (!backend || checkedLayers.has(key)) return;
  const problem = await layerProblem(configuration, backend, threads, arithmetic);
  if (problem !== null)
    throw new TritsmithError('unsupported', 'gpu.not-trusted', {
      name: computesOn!,
      operation: 'a layer of this model',
      problem,
    });
  checkedLayers.add(key);
}

/** Ends the use of the card; nothing happens where there is none. */
export async function closeCard(): Promise<void> {
  const open = card;
  card = null;
  await open?.then(
    ({ device }) => device.close(),
    () => undefined,
  );
}

/** The card of this machine and what is known of it; nothing is computed on it. */
export async function findCard(): Promise<CardState> {
  const folder = findWebGpu();
  const adapter = folder === null ? null : await requestCard(folder);
  if (folder === null || !adapter) return { installed: folder !== null, found: null, verdict: null };
  const found = identityOf(adapter);
  return { installed: true, found, verdict: keptVerdict(folder, found) };
}
