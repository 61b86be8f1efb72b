/**
 * Calibrates one decoder layer of a student (docs/method.md, 3.2): from what enters it, chooses the codes of its seven matrices and writes latent weights that
 * absmean turns into these codes.
 */
import { type ModelConfiguration, type Projection, projectionShape } from '../models/configuration.ts';
import { type InputSite, inputSites, valueRows } from '../models/input-sites.ts';
import type { Network } from '../models/network.ts';
import { ParameterBuffer } from '../models/parameters.ts';
import {
  channelScales,
  type Codes,
  gptqCodes,
  InputMoments,
  latentsOf,
  type Matrix,
  nearestCodes,
  withScaledColumns,
} from './calibrated-codes.ts';

/** Tokens that are looked at together, padding counted. */
export const calibratedTokens = 4096;

export interface CalibrationMethod {
  readonly method: 'gptq' | 'awq';
  /** What is added to the diagonal of GPTQ's Hessian, in units of its mean. */
  readonly damping: number;
}

/** Rows side by side, `[B, T, hidden]`, padded on the right. */
export interface CalibrationBatch {
  readonly hidden: Float32Array;
  readonly lengths: readonly number[];
  readonly length: number;
}

/** A student's parameters as those of the same layer in full precision, in memory of their own. */
export function inFullPrecision({ specifications, values }: ParameterBuffer): ParameterBuffer {
  const dense = specifications.map((specification) => ({ ...specification, ternary: false }));
  return new ParameterBuffer(dense, Float32Array.from(values));
}

export class LayerCalibration {
  readonly #dense: Network;
  readonly #student: ParameterBuffer;
  readonly #configuration: ModelConfiguration;
  readonly #settings: CalibrationMethod;
  readonly #batches: () => AsyncIterable<CalibrationBatch>;
  readonly #names: Map<string, string>;

  /**
   * @param dense the layer in full precision with the student's norms, for inference; its parameters are written while the layer is calibrated
   * @param student the same parameters, which become the student's
   * @param configuration of the student's layer
   * @param batches what enters the layer, from the layers before it as they are by now; asked for several times
   */
  constructor(
    dense: Network,
    student: ParameterBuffer,
    configuration: ModelConfiguration,
    settings: CalibrationMethod,
    batches: () => AsyncIterable<CalibrationBatch>,
  ) {
    this.#dense = dense;
    this.#student = student;
    this.#configuration = configuration;
    this.#settings = settings;
    this.#batches = batches;
    this.#names = new Map(student.specifications.map(({ local, name }) => [local, name]));
  }

  async run(): Promise<void> {
    const sites = inputSites(this.#configuration);
    if (this.#settings.method === 'awq') {
      // What takes the scales of o and down has been rounded itself if it comes first.
      for (const site of sites.toReversed()) await this.#awq(site);
      return;
    }
    // Sites that share an input pass share a run through the layer, with all that came before them rounded.
    for (const together of passes(sites)) await this.#gptq(together);
  }

  async #gptq(sites: readonly InputSite[]): Promise<void> {
    const moments = await this.#moments(sites);
    const { quantisation } = this.#configuration;
    for (const site of sites) {
      const matrices = site.projections.map((name) => this.#matrix(name));
      const codes = gptqCodes(matrices, moments.get(site)!, quantisation, this.#settings.damping);
      for (const [at, name] of site.projections.entries()) {
        this.#student.view(this.#nameOf(name)).set(latentsOf(matrices[at]!, codes[at]!));
        this.#dense.parameters.view(this.#nameOf(name)).set(valuesOf(codes[at]!));
      }
    }
  }

  /** The layer's other matrices stay in full precision, so each site sees what it saw before. */
  async #awq(site: InputSite): Promise<void> {
    const { quantisation } = this.#configuration;
    const seen = (await this.#moments([site])).get(site)!;
    let matrices = site.projections.map((name) => this.#matrix(name));
    let moments = seen;
    if (site.fold) {
      const rows = 'rows' in site.fold ? this.#rowsOf(site.fold.rows) : null;
      const scales = channelScales(matrices, seen, quantisation, rows);
      this.#fold(site.fold, scales, rows);
      matrices = matrices.map((matrix) => withScaledColumns(matrix, scales));
      moments = seen.dividedBy(scales);
    }
    for (const [at, name] of site.projections.entries()) {
      const matrix = matrices[at]!;
      this.#dense.parameters.view(this.#nameOf(name)).set(matrix.values);
      this.#student.view(this.#nameOf(name)).set(latentsOf(matrix, nearestCodes(matrix, moments, quantisation)));
    }
  }

  /** Of each channel of a projection's input, the row of `projection` that makes it. */
  #rowsOf(projection: 'v' | 'up'): Int32Array {
    return projection === 'v'
      ? valueRows(this.#configuration)
      : Int32Array.from({ length: this.#configuration.ffnSize }, (_, channel) => channel);
  }

  /** Divides what makes a site's input by `scales` `[K]`. */
  #fold(fold: NonNullable<InputSite['fold']>, scales: Float64Array, rows: Int32Array | null): void {
    const divide = (local: string, width: number, scaleOf: (row: number) => number): void => {
      const name = this.#nameOf(local);
      for (const buffer of [this.#student, this.#dense.parameters]) {
        const values = buffer.view(name);
        for (let at = 0; at < values.length; at += 1) values[at]! /= scaleOf(Math.floor(at / width));
      }
    };
    if ('norm' in fold) {
      divide(fold.norm, 1, (row) => scales[row]!);
      return;
    }
    const ofRow = new Map<number, number>();
    for (const [channel, row] of rows!.entries()) ofRow.set(row, scales[channel]!);
    const [, columns] = projectionShape(this.#configuration, fold.rows);
    divide(fold.rows, columns, (row) => ofRow.get(row)!);
    if (this.#names.has(`${fold.rows}.bias`)) divide(`${fold.rows}.bias`, 1, (row) => ofRow.get(row)!);
  }

  #nameOf(local: string): string {
    const name = this.#names.get(local);
    if (name === undefined) throw new Error(`the layer has no ${local}`);
    return name;
  }

  #matrix(projection: Projection): Matrix {
    const values = Float32Array.from(this.#dense.parameters.view(this.#nameOf(projection)));
    return { values, shape: projectionShape(this.#configuration, projection) };
  }

  /** What enters the projections of each site behind its SubLN, over the valid tokens of all batches. */
  async #moments(sites: readonly InputSite[]): Promise<Map<InputSite, InputMoments>> {
    const found = new Map(
      sites.map((site) => [site, new InputMoments(projectionShape(this.#configuration, site.projections[0]!)[1])]),
    );
    for await (const { hidden, lengths, length } of this.#batches())
      await this.#dense.forward({ hidden, batch: lengths.length, length }, undefined, (_, inputs) => {
        for (const [site, moments] of found) {
          const entering = validTokens(inputs.get(site.projections[0]!)!, lengths, length, moments.sizes.length);
          if (site.subln !== null)
            normalise(entering, this.#student.view(this.#nameOf(site.subln)), this.#configuration.rmsNormEpsilon);
          moments.add(entering);
        }
      });
    return found;
  }
}

/** Sites in runs through the layer: those of q, k and v together, and those of gate and up. */
function passes(sites: readonly InputSite[]): InputSite[][] {
  const steps: readonly (readonly Projection[])[] = [['q', 'k', 'v'], ['o'], ['gate', 'up'], ['down']];
  return steps.map((step) => sites.filter(({ projections }) => step.includes(projections[0]!)));
}

/** What a student computes with: each code times its scale. */
function valuesOf({ values, scales }: Codes): Float32Array {
  const run = values.length / scales.length;
  return values.map((code, at) => code * scales[Math.floor(at / run)]!);
}

/** The tokens that are no padding, `[n, width]`. */
function validTokens(values: Float32Array, lengths: readonly number[], length: number, width: number): Float32Array {
  const valid = new Float32Array(lengths.reduce((sum, tokens) => sum + tokens, 0) * width);
  let at = 0;
  for (const [row, tokens] of lengths.entries()) {
    valid.set(values.subarray(row * length * width, (row * length + tokens) * width), at);
    at += tokens * width;
  }
  return valid;
}

/** RMSNorm of each token, in place. */
function normalise(tokens: Float32Array, weights: Float32Array, epsilon: number): void {
  const width = weights.length;
  for (let start = 0; start < tokens.length; start += width) {
    let squares = 0;
    for (let at = start; at < start + width; at += 1) squares += tokens[at]! ** 2;
    const factor = 1 / Math.sqrt(squares / width + epsilon);
    for (let at = 0; at < width; at += 1) tokens[start + at]! *= factor * weights[at]!;
  }
}
