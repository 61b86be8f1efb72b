/** Products of dimensions, known when a program is compiled up to its named dimensions, as text of the shading language. */
import type { Bindings } from '../backend.ts';
import type { Dimension } from '../graph.ts';

export class Product {
  readonly factor: number;
  readonly names: readonly string[];

  constructor(dimensions: readonly Dimension[]) {
    let factor = 1;
    const names: string[] = [];
    for (const dimension of dimensions)
      for (const part of typeof dimension === 'number' ? [String(dimension)] : dimension.split('*'))
        if (/^\d+$/.test(part)) factor *= Number(part);
        else names.push(part);
    this.factor = factor;
    this.names = names.sort();
  }

  /** Equal for equal products. */
  get key(): string {
    return [String(this.factor), ...this.names].join('*');
  }

  get isOne(): boolean {
    return this.factor === 1 && this.names.length === 0;
  }

  /** The number where no named dimension is in it. */
  get fixed(): number | null {
    return this.names.length === 0 ? this.factor : null;
  }

  get text(): string {
    const parts = this.names.map((name) => `d.${name}`);
    if (this.factor !== 1 || parts.length === 0) parts.unshift(`${this.factor}u`);
    return parts.length === 1 ? parts[0]! : `(${parts.join(' * ')})`;
  }

  value(bindings: Bindings): number {
    return this.names.reduce((product, name) => {
      const bound = bindings[name];
      if (bound === undefined) throw new RangeError(`dimension ${name} is not bound`);
      return product * bound;
    }, this.factor);
  }
}

const same = (a: readonly Dimension[], b: readonly Dimension[]): boolean =>
  a.length === b.length && a.every((dimension, axis) => new Product([dimension]).key === new Product([b[axis]!]).key);

const isOne = (dimension: Dimension): boolean => new Product([dimension]).isOne;

/** Place in a value of shape `operand`, which is repeated to `shape`, of the element at place `at` of that shape. */
export function broadcastIndex(operand: readonly Dimension[], shape: readonly Dimension[], at: string): string {
  if (new Product(operand).key === new Product(shape).key) return at;
  const first = operand.findIndex((dimension) => !isOne(dimension));
  if (first < 0) return '0u';
  const own = operand.slice(first);
  if (same(own, shape.slice(-own.length))) return `(${at} % ${new Product(own).text})`;
  const padded = [...new Array<Dimension>(shape.length - operand.length).fill(1), ...operand];
  const last = padded.findLastIndex((dimension) => !isOne(dimension)) + 1;
  if (same(padded.slice(0, last), shape.slice(0, last))) return `(${at} / ${new Product(shape.slice(last)).text})`;
  const terms = padded.flatMap((dimension, axis) => {
    if (isOne(dimension)) return [];
    const within = new Product(shape.slice(axis + 1));
    const coordinate = `((${at} / ${within.text}) % ${new Product([shape[axis]!]).text})`;
    return [`${coordinate} * ${new Product(padded.slice(axis + 1)).text}`];
  });
  return `(${terms.join(' + ')})`;
}
