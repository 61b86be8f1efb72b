/**
 * A card computes for a recipe only after its arithmetic was held against the processor's and against finite differences. The verdict is kept beside the component,
 * with the card's driver and version; another driver is another card.
 */
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { z } from 'zod';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';
import { type CardIdentity, type CardVerdict, cardVerdict } from '../../contract/cards.ts';
import { componentsFolder } from '../../contract/data-folder.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { type Backend, hostMemory } from '../backend.ts';
import { largestDeviation, prepareCase } from '../gradient-check.ts';
import { noise, operationCases, ternaryCase } from '../operation-cases.ts';
import { program } from '../passes.ts';
import { createSession } from '../session.ts';
import { findWebGpu, requestCard, webGpuVersion } from './component.ts';
import type { GpuAdapter } from './dawn.ts';
import { Device } from './device.ts';
import { webGpuBackend } from './webgpu-backend.ts';

/** To be raised with every kernel or check that changes. */
export const checksVersion = 4;

/** Elements of each input that are moved for finite differences: the other check sees all of them. */
const differences = 5;

/** What rounding may do to a value, in parts of its tensor's largest. */
const tolerance = 1e-4;

export function identityOf({ info }: GpuAdapter): CardIdentity {
  const name = info.device === '' ? `${info.vendor} ${info.architecture}` : info.device;
  return { name, driver: info.description, webgpu: webGpuVersion };
}

/** Largest difference of two tensors, in parts of the first one's largest value. */
export function distance(expected: Float32Array, found: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return expected.reduce((most, value, index) => {
    const off = Math.abs(value - found[index]!) / largest;
    return off <= most ? most : off;
  }, 0);
}

const ternaryLayer = 'ternary layer (whole numbers, to the bit)';

/** A BitLinear with int8 activations on both: its sums are of whole numbers, so they must be the same bits. @returns what differs */
async function ternaryProblem(backend: Backend): Promise<string | null> {
  const { graph, results, feeds, counts } = ternaryCase({ rows: 40, width: 200, outputs: 136 }, [1], true);
  const found = [];
  for (const each of [undefined, backend]) {
    const session = await createSession(program('ternary', graph, results), { threads: 1, backend: each });
    const made = {
      output: new Float32Array(counts.output),
      xi: new Float32Array(counts.xi),
      dx: new Float32Array(counts.dx),
      dw: new Float32Array(counts.dw),
    };
    await session.run({ B: 2, T: 20 }, feeds, made);
    await session.release();
    found.push(made);
  }
  const [processor, card] = found as [(typeof found)[number], (typeof found)[number]];
  for (const name of ['xi', 'output'] as const)
    if (processor[name].some((value, index) => value !== card[name][index])) return `${name} is not the same`;
  for (const name of ['dx', 'dw'] as const) {
    const off = distance(processor[name], card[name]);
    if (!(off < tolerance)) return `${name} is off by ${off.toExponential(1)} of its largest value`;
  }
  return null;
}

const sums = 'sums and rows of arrays on the card';

/** What the card adds to arrays that it keeps and moves between them, beside what the host does. @returns what differs */
async function sumsProblem({ memory }: Backend): Promise<string | null> {
  const [rows, width] = [7, 150];
  const random = noise(5);
  const values = new Float32Array(rows * width).map(random);
  const source = new Float32Array(rows * width).map(random);
  const places = Int32Array.of(3, 0, 3);
  const found = [];
  for (const each of [hostMemory, memory]) {
    const target = values.slice();
    const picked = new Float32Array(2 * width);
    each.keep(target, picked);
    await each.add(target, source);
    await each.addRows(target, places, width, source.subarray(0, places.length * width), -0.5);
    await each.gatherRows(target, Int32Array.of(6, 0), width, picked);
    await each.placeRows(target, Int32Array.of(1, 4), width, picked);
    await each.read(target);
    each.drop(target, picked);
    found.push(target);
  }
  const off = distance(found[0]!, found[1]!);
  return off < tolerance ? null : `they are off by ${off.toExponential(1)} of the largest value`;
}

/** What is wrong with an operation on a card; null: nothing. */
async function problemOf(operation: (typeof operationCases)[number], backend: Backend): Promise<string | null> {
  const [expected, found] = [
    await prepareCase(operation, false, { threads: 1 }),
    await prepareCase(operation, false, { threads: 1, backend }),
  ];
  const values = distance(await expected.runForward(), await found.runForward());
  if (!(values < tolerance)) return `its values are off by ${values.toExponential(1)} of the largest`;
  const own = await found.runBackward();
  for (const [name, gradient] of Object.entries(await expected.runBackward())) {
    const off = distance(gradient, own[name]!);
    if (!(off < tolerance)) return `${name} is off by ${off.toExponential(1)} of its largest value`;
  }
  await expected.release();
  await found.release();
  const worst = await largestDeviation(operation, { threads: 1, backend }, differences);
  if (worst.units < 1) return null;
  return `the gradient of ${worst.element} is ${worst.gradient}, by finite differences ${worst.difference}`;
}

/** Checks a card, whatever is known of it. @throws TritsmithError where it is lost on the way */
export async function checkCard(card: CardIdentity, backend: Backend): Promise<CardVerdict> {
  const started = performance.now();
  let failed: CardVerdict['failed'] = null;
  const checks: [string, () => Promise<string | null>][] = [
    ...operationCases.map((operation): [string, () => Promise<string | null>] => [
      operation.name,
      () => problemOf(operation, backend),
    ]),
    [ternaryLayer, () => ternaryProblem(backend)],
    [sums, () => sumsProblem(backend)],
  ];
  for (const [operation, check] of checks) {
    const problem = await check().catch((error: unknown) => {
      if (error instanceof TritsmithError) throw error;
      return error instanceof Error ? error.message : String(error);
    });
    if (problem === null) continue;
    failed = { operation, problem };
    break;
  }
  const seconds = (performance.now() - started) / 1000;
  return { card, checks: checksVersion, operations: checks.length, failed, seconds };
}

const verdictFile = (folder: string): string => join(folder, 'verdicts.json');

/** Verdicts that were kept; none where there is no file or it is damaged: the card is checked again then. */
function readVerdicts(folder: string): CardVerdict[] {
  return readJsonIfWhole(verdictFile(folder), z.array(cardVerdict)) ?? [];
}

const sameCard = (a: CardIdentity, b: CardIdentity): boolean =>
  a.name === b.name && a.driver === b.driver && a.webgpu === b.webgpu;

/** The verdict of these checks on a card that was checked before. */
export function keptVerdict(folder: string, card: CardIdentity): CardVerdict | null {
  return (
    readVerdicts(folder).find((verdict) => verdict.checks === checksVersion && sameCard(verdict.card, card)) ?? null
  );
}

export interface TrustedCard {
  readonly device: Device;
  readonly backend: Backend;
  readonly verdict: CardVerdict;
}

/**
 * The card of this machine, checked where no verdict on it is kept.
 * @throws TritsmithError `not-found` (no component, no card), `unsupported` (it computes wrongly)
 */
export async function openTrustedCard(
  onCheck: (card: CardIdentity) => void = () => undefined,
  components: string = componentsFolder(),
): Promise<TrustedCard> {
  const folder = findWebGpu(components);
  if (folder === null) throw new TritsmithError('not-found', 'gpu.not-installed');
  const adapter = await requestCard(folder);
  if (!adapter) throw new TritsmithError('not-found', 'gpu.none');
  const card = identityOf(adapter);
  const device = await Device.open(adapter);
  const backend = webGpuBackend(device);
  let verdict = keptVerdict(folder, card);
  if (!verdict) {
    onCheck(card);
    verdict = await checkCard(card, backend);
    const others = readVerdicts(folder).filter((each) => !sameCard(each.card, card));
    writeJsonAtomically(verdictFile(folder), [...others, verdict]);
  }
  if (verdict.failed) {
    device.close();
    throw new TritsmithError('unsupported', 'gpu.not-trusted', { name: card.name, ...verdict.failed });
  }
  return { device, backend, verdict };
}
