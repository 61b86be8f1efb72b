/**
 * Kernels whose elements need more than a formula of a few others: products, sums over an axis, softmax, the norm. Each hands every result to
 * `store`, which writes it or goes on computing with it.
 */
import type { Bindings } from '../backend.ts';
import type { Dimension, Value } from '../graph.ts';
import type { OnnxNode } from '../onnx-format.ts';
import { Product } from './dimensions.ts';
import { intOf, literal } from './expressions.ts';

/** An input as a kernel sees it: its shape, and the text that reads the element at a place. */
export interface Source {
  readonly value: Value;
  at(index: string): string;
  /** Four bytes of an input of bytes, in one word. */
  word(index: string): string;
}

/** What a card has beyond the least; kernels use it. */
export interface Features {
  /** Threads of a subgroup can add up without memory: `lane` is the place in one, `lanes` its size. */
  readonly subgroups: boolean;
  /** Four products of bytes at once (`dot4I8Packed`), in hardware. */
  readonly byteProducts: boolean;
}

/** Text that takes the value of the result at a place. */
export type Store = (index: string, value: string) => string;

export interface Body {
  /** Workgroup memory and functions. */
  readonly prelude: string;
  readonly workgroupSize: number;
  /** `group` is the number of the workgroup, `l` the place in it. */
  readonly code: string;
  readonly groups: (bindings: Bindings) => number;
  readonly flops: (bindings: Bindings) => number;
}

const up = (a: number, b: number): number => Math.ceil(a / b);

/** Sizes of a batched product `[P, M, K] [P, K, N]` and whether its factors are batched. */
interface ProductShape {
  readonly batch: Product;
  readonly rows: Product;
  readonly columns: Product;
  readonly depth: Product;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

function productShape(node: OnnxNode, a: Value, b: Value, output: Value): ProductShape {
  const { attributes } = node;
  const transA = intOf(attributes['transA'], 0) === 1;
  const transB = intOf(attributes['transB'], 0) === 1;
  const alpha = attributes['alpha'] && 'float' in attributes['alpha'] ? attributes['alpha'].float : 1;
  const depth = new Product([a.shape.at(transA ? -2 : -1)!]);
  const columns = new Product([output.shape.at(-1)!]);
  const flat = b.shape.length === 2 && !transA;
  return {
    batch: new Product(flat ? [] : output.shape.slice(0, -2)),
    rows: new Product(flat ? output.shape.slice(0, -1) : [output.shape.at(-2)!]),
    columns,
    depth,
    transA,
    transB,
    alpha,
  };
}

/** How the values of a workgroup's threads become one. */
interface Combination {
  readonly start: string;
  readonly combine: (a: string, b: string) => string;
  /** The same over a subgroup. */
  readonly subgroup: string;
}

const sums: Combination = { start: '0.0', combine: (a, b) => `${a} + ${b}`, subgroup: 'subgroupAdd' };
const largest: Combination = { start: '-3.4e38', combine: (a, b) => `max(${a}, ${b})`, subgroup: 'subgroupMax' };
const smallest: Combination = { start: '3.4e38', combine: (a, b) => `min(${a}, ${b})`, subgroup: 'subgroupMin' };

/** Threads of a workgroup that has a row. */
const rowSize = 64;

/**
 * Declares `name`: `value` of all threads of a row's workgroup, combined; every thread has it. Uses `part`. With subgroups it waits once instead of seven times: no order of
 * threads in subgroups is promised, so each subgroup leaves its value at its first thread's place, and adds up all places for itself.
 */
function combined(
  name: string,
  value: string,
  { start, combine, subgroup }: Combination,
  { subgroups }: Features,
): string {
  if (subgroups)
    return `let ${name}_own = ${subgroup}(${value});
  part[l] = select(${start}, ${name}_own, lane == 0u);
  workgroupBarrier();
  var ${name}_all = ${start};
  for (var j = lane; j < ${rowSize}u; j += lanes) { ${name}_all = ${combine(`${name}_all`, 'part[j]')}; }
  let ${name} = ${subgroup}(${name}_all);`;
  const lines: string[] = [`part[l] = ${value};`, 'workgroupBarrier();'];
  for (let half = rowSize / 2; half >= 1; half /= 2)
    lines.push(`if (l < ${half}u) { part[l] = ${combine('part[l]', `part[l + ${half}u]`)}; }`, 'workgroupBarrier();');
  return [...lines, `let ${name} = part[0];`].join('\n  ');
}

/** A matrix product, in tiles whose factors lie in workgroup memory. */
export function matrixProduct(
  node: OnnxNode,
  a: Source,
  b: Source,
  output: Value,
  store: Store,
  features: Features,
): Body {
  const shape = productShape(node, a.value, b.value, output);
  const { batch, rows, columns, depth, transA, transB, alpha } = shape;
  const flops = (bindings: Bindings): number =>
    2 * [batch, rows, columns, depth].reduce((product, each) => product * each.value(bindings), 1);
  const scaled = (sum: string): string => (alpha === 1 ? sum : `${literal(alpha)} * ${sum}`);
  if (columns.fixed === 1 && !transA && batch.isOne) {
    const sum = `sum + ${a.at(`group * ${depth.text} + k`)} * ${b.at('k')}`;
    return { ...rowSum(rows, depth, 'k', sum, (value) => store('group', scaled(value)), features), flops };
  }
  if (rows.fixed === 1 && !transB && batch.isOne)
    return {
      ...columnSum(
        depth,
        columns,
        (row, column) => `${a.at(row)} * ${b.at(`${row} * ${columns.text} + ${column}`)}`,
        (column, value) => store(column, scaled(value)),
      ),
      flops,
    };

  const side = tileSide(rows, columns);
  const step = side === 64 ? 16 : 32;
  const workgroupSize = threadsOf(side);
  const batched = (source: Source): boolean => source.value.shape.length > 2 && !batch.isOne;
  const place = (source: Source, size: Product, transposed: boolean, line: string): string => {
    const start = batched(source) ? `p * ${new Product([...rowsOf(size), ...rowsOf(depth)]).text} + ` : '';
    return start + (transposed ? `k * ${size.text} + ${line}` : `${line} * ${depth.text} + k`);
  };
  const tileStore = (name: string, along: boolean, load: string): string =>
    // Neighbouring threads read neighbouring elements.
    along
      ? `{ let e = l + ${workgroupSize}u * j; let x = e % ${side}u; let y = e / ${side}u; ${name}[y * ${side}u + x] = ${load}(p, ${name}0 + x, k0 + y); }`
      : `{ let e = l + ${workgroupSize}u * j; let x = e / ${step}u; let y = e % ${step}u; ${name}[y * ${side}u + x] = ${load}(p, ${name}0 + x, k0 + y); }`;
  const tiles: Tiles = {
    rows,
    columns,
    batch,
    depth: depth.text,
    step,
    factor: 'f32',
    sum: 'f32',
    functions: `
fn loadA(p: u32, m: u32, k: u32) -> f32 {
  if (m >= ${rows.text} || k >= ${depth.text}) { return 0.0; }
  return ${a.at(place(a, rows, transA, 'm'))};
}
fn loadB(p: u32, n: u32, k: u32) -> f32 {
  if (n >= ${columns.text} || k >= ${depth.text}) { return 0.0; }
  return ${b.at(place(b, columns, !transB, 'n'))};
}
`,
    load: `
    for (var j = 0u; j < ${(side * step) / workgroupSize}u; j += 1u) {
      ${tileStore('ta', transA, 'loadA')}
      ${tileStore('tb', !transB, 'loadB')}
    }`,
    product: (x, y) => `${x} * ${y}`,
  };
  return { ...tiledProduct(tiles, (index, sum) => store(index, scaled(sum))), flops };
}

/** Sums of a thread along each side of its tile. */
const each = 4;

/** Rows and columns of a tile: few where there would be few tiles. */
const tileSide = (rows: Product, columns: Product): number =>
  [rows, columns].some(({ fixed }) => fixed !== null && fixed <= 128) ? 32 : 64;

const threadsOf = (side: number): number => (side / each) ** 2;

/** What products in tiles differ in. */
interface Tiles {
  readonly rows: Product;
  readonly columns: Product;
  readonly batch: Product;
  /** Factors of a row, in the unit that the tiles hold, and how many of these lie in a tile. */
  readonly depth: string;
  readonly step: number;
  readonly factor: 'f32' | 'u32';
  readonly sum: 'f32' | 'i32';
  readonly functions: string;
  /** Fills the tiles `ta` and `tb`, `[step, side]`, from batch `p`, row `ta0`, column `tb0` and factor `k0` on. */
  readonly load: string;
  readonly product: (a: string, b: string) => string;
}

function tiledProduct(
  { rows, columns, batch, depth, step, factor, sum, functions, load, product }: Tiles,
  store: Store,
): Omit<Body, 'flops'> {
  const side = tileSide(rows, columns);
  const lines = side / each;
  const places = Array.from({ length: each }, (_, index) => index);
  const pairs = places.flatMap((y) => places.map((x) => [y, x] as const));
  const prelude = `
var<workgroup> ta: array<${factor}, ${side * step}>;
var<workgroup> tb: array<${factor}, ${side * step}>;${functions}`;
  const code = `
  let across = (${columns.text} + ${side - 1}u) / ${side}u;
  let tiles = across * ((${rows.text} + ${side - 1}u) / ${side}u);
  if (group >= tiles * ${batch.text}) { return; }
  let p = group / tiles;
  let ta0 = ((group % tiles) / across) * ${side}u;
  let tb0 = ((group % tiles) % across) * ${side}u;
  let y0 = (l / ${lines}u) * ${each}u;
  let x0 = (l % ${lines}u) * ${each}u;
  ${pairs.map(([y, x]) => `var s${y}_${x} = ${sum}();`).join(' ')}
  for (var k0 = 0u; k0 < ${depth}; k0 += ${step}u) {${load}
    workgroupBarrier();
    for (var k = 0u; k < ${step}u; k += 1u) {
      ${places.map((y) => `let a${y} = ta[k * ${side}u + y0 + ${y}u];`).join(' ')}
      ${places.map((x) => `let b${x} = tb[k * ${side}u + x0 + ${x}u];`).join(' ')}
      ${pairs.map(([y, x]) => `s${y}_${x} += ${product(`a${y}`, `b${x}`)};`).join(' ')}
    }
    workgroupBarrier();
  }
  // What follows is written once, not for each of the sums: drivers compile it in a fraction of the time.
  var sums = array<${sum}, ${pairs.length}>(${pairs.map(([y, x]) => `s${y}_${x}`).join(', ')});
  for (var j = 0u; j < ${pairs.length}u; j += 1u) {
    let y = ta0 + y0 + j / ${each}u;
    let x = tb0 + x0 + j % ${each}u;
    if (y < ${rows.text} && x < ${columns.text}) { ${store(`(p * ${rows.text} + y) * ${columns.text} + x`, 'f32(sums[j])')} }
  }`;
  return {
    prelude,
    workgroupSize: threadsOf(side),
    code,
    groups: (bindings) => batch.value(bindings) * up(rows.value(bindings), side) * up(columns.value(bindings), side),
  };
}

/** Stands for 0 in activations, in each byte of a word. */
const zeroPoints = '0x80808080u';

/**
 * Activations of 8 bits, `[M, K]` bytes around 128, times ternary codes, `[K, N]` signed bytes: four products at once, summed in whole numbers.
 * @returns null where four neighbours do not share a word
 */
export function byteProduct(a: Source, b: Source, output: Value, store: Store): Body | null {
  const [depth, columns] = b.value.shape.map((dimension) => new Product([dimension])) as [Product, Product];
  const rows = new Product(output.shape.slice(0, -1));
  const inFours = ({ fixed }: Product): boolean => fixed !== null && fixed % 4 === 0;
  if (a.value.type !== 'uint8' || b.value.type !== 'int8' || !inFours(depth) || !inFours(columns)) return null;
  const [words, quads] = [depth.fixed! / 4, columns.fixed! / 4];
  const side = tileSide(rows, columns);
  const step = 8;
  const four = [0, 1, 2, 3];
  const tiles: Tiles = {
    rows,
    columns,
    batch: new Product([]),
    depth: `${words}u`,
    step,
    factor: 'u32',
    sum: 'i32',
    functions: `
fn loadA(m: u32, k: u32) -> u32 {
  if (m >= ${rows.text} || k >= ${words}u) { return 0u; }
  return ${a.word(`m * ${words}u + k`)} ^ ${zeroPoints};
}
fn loadB(k: u32, n: u32) -> u32 {
  if (n >= ${quads}u || k >= ${depth.text}) { return 0u; }
  return ${b.word(`k * ${quads}u + n`)};
}
`,
    load: `
    for (var e = l; e < ${side * step}u; e += ${threadsOf(side)}u) {
      ta[(e % ${step}u) * ${side}u + e / ${step}u] = loadA(ta0 + e / ${step}u, k0 + e % ${step}u);
    }
    // Codes lie four columns to a word: four rows of them are turned into four words of a column each.
    for (var e = l; e < ${(side / 4) * step}u; e += ${threadsOf(side)}u) {
      let n = e % ${side / 4}u;
      let k = e / ${side / 4}u;
      ${four.map((row) => `let w${row} = loadB(4u * (k0 + k) + ${row}u, tb0 / 4u + n);`).join(' ')}
      ${four.map((column) => `tb[k * ${side}u + 4u * n + ${column}u] = ${four.map((row) => `(((w${row} >> ${8 * column}u) & 255u) << ${8 * row}u)`).join(' | ')};`).join('\n      ')}
    }`,
    product: (x, y) => `dot4I8Packed(${x}, ${y})`,
  };
  return {
    ...tiledProduct(tiles, store),
    flops: (bindings) => 2 * rows.value(bindings) * depth.fixed! * columns.fixed!,
  };
}

const rowsOf = (product: Product): Dimension[] => [product.factor, ...product.names];

/** One workgroup for each row: `sum` is the new partial value of a thread that has seen `sum` so far. */
export function rowSum(
  rows: Product,
  inner: Product,
  index: string,
  sum: string,
  done: (value: string) => string,
  features: Features,
  combination: Combination = sums,
): Body {
  return {
    prelude: `var<workgroup> part: array<f32, ${rowSize}>;`,
    workgroupSize: rowSize,
    code: `
  if (group >= ${rows.text}) { return; }
  var sum = ${combination.start};
  for (var ${index} = l; ${index} < ${inner.text}; ${index} += ${rowSize}u) { sum = ${sum}; }
  ${combined('whole', 'sum', combination, features)}
  if (l == 0u) { ${done('whole')} }`,
    groups: (bindings) => rows.value(bindings),
    flops: (bindings) => 2 * rows.value(bindings) * inner.value(bindings),
  };
}

/** Sums over the rows of `[rows, columns]`: a workgroup has 16 columns, and 16 threads for each. */
function columnSum(rows: Product, columns: Product, term: (row: string, column: string) => string, store: Store): Body {
  return {
    prelude: 'var<workgroup> part: array<f32, 256>;',
    workgroupSize: 256,
    code: `
  if (group >= (${columns.text} + 15u) / 16u) { return; }
  let column = group * 16u + l % 16u;
  var sum = 0.0;
  if (column < ${columns.text}) {
    for (var row = l / 16u; row < ${rows.text}; row += 16u) { sum += ${term('row', 'column')}; }
  }
  part[l] = sum;
  workgroupBarrier();
  if (l < 16u && column < ${columns.text}) {
    var total = 0.0;
    for (var j = 0u; j < 16u; j += 1u) { total += part[j * 16u + l]; }
    ${store('column', 'total')}
  }`,
    groups: (bindings) => up(columns.value(bindings), 16),
    flops: (bindings) => 2 * rows.value(bindings) * columns.value(bindings),
  };
}

/** A sum or an extreme over the last axes or, for sums, over the first ones. */
export function reduction(node: OnnxNode, x: Source, axes: readonly number[], store: Store, features: Features): Body {
  const { shape } = x.value;
  const positive = axes.map((axis) => (axis < 0 ? axis + shape.length : axis)).sort((a, b) => a - b);
  const inRow = positive.every((axis, index) => axis === shape.length - positive.length + index);
  const inColumn = positive.every((axis, index) => axis === index);
  const inner = new Product(positive.map((axis) => shape[axis]!));
  const outer = new Product(shape.filter((_, axis) => !positive.includes(axis)));
  if (inRow) {
    const element = x.at(`group * ${inner.text} + k`);
    const done = (value: string): string => store('group', value);
    switch (node.operator) {
      case 'ReduceSum':
        return rowSum(outer, inner, 'k', `sum + ${element}`, done, features);
      case 'ReduceSumSquare':
        return rowSum(outer, inner, 'k', `sum + ${element} * ${element}`, done, features);
      case 'ReduceMax':
        return rowSum(outer, inner, 'k', `max(sum, ${element})`, done, features, largest);
      case 'ReduceMin':
        return rowSum(outer, inner, 'k', `min(sum, ${element})`, done, features, smallest);
    }
  }
  if (inColumn && node.operator === 'ReduceSum')
    return columnSum(inner, outer, (row, column) => x.at(`${row} * ${outer.text} + ${column}`), store);
  throw new Error(`${node.operator} over axes ${axes.join(', ')} of ${shape.length}`);
}

/** Softmax or its logarithm over the last axis. */
export function softmax(node: OnnxNode, x: Source, store: Store, features: Features): Body {
  const inner = new Product([x.value.shape.at(-1)!]);
  const rows = new Product(x.value.shape.slice(0, -1));
  const element = x.at(`group * ${inner.text} + k`);
  const value = node.operator === 'Softmax' ? `exp(${element} - most) / total` : `${element} - most - log(total)`;
  return {
    prelude: `var<workgroup> part: array<f32, ${rowSize}>;`,
    workgroupSize: rowSize,
    code: `
  if (group >= ${rows.text}) { return; }
  var largest = -3.4e38;
  for (var k = l; k < ${inner.text}; k += ${rowSize}u) { largest = max(largest, ${element}); }
  ${combined('most', 'largest', largest, features)}
  workgroupBarrier();
  var sum = 0.0;
  for (var k = l; k < ${inner.text}; k += ${rowSize}u) { sum += exp(${element} - most); }
  ${combined('total', 'sum', sums, features)}
  for (var k = l; k < ${inner.text}; k += ${rowSize}u) { ${store(`group * ${inner.text} + k`, value)} }`,
    groups: (bindings) => rows.value(bindings),
    flops: (bindings) => 8 * rows.value(bindings) * inner.value(bindings),
  };
}

/** RMS norm with its weight; `inverse` takes 1 / sqrt(mean(x^2) + epsilon) of a row. */
export function rmsNormalisation(
  node: OnnxNode,
  x: Source,
  weight: Source,
  store: Store,
  inverse: Store,
  features: Features,
): Body {
  const inner = new Product([x.value.shape.at(-1)!]);
  const rows = new Product(x.value.shape.slice(0, -1));
  const epsilon = node.attributes['epsilon'];
  const element = x.at(`group * ${inner.text} + k`);
  return {
    prelude: `var<workgroup> part: array<f32, ${rowSize}>;`,
    workgroupSize: rowSize,
    code: `
  if (group >= ${rows.text}) { return; }
  var sum = 0.0;
  for (var k = l; k < ${inner.text}; k += ${rowSize}u) { let x = ${element}; sum += x * x; }
  ${combined('squares', 'sum', sums, features)}
  let factor = 1.0 / sqrt(squares / f32(${inner.text}) + ${literal(epsilon && 'float' in epsilon ? epsilon.float : 1e-5)});
  if (l == 0u) { ${inverse('group', 'factor')} }
  for (var k = l; k < ${inner.text}; k += ${rowSize}u) { ${store(`group * ${inner.text} + k`, `${element} * factor * ${weight.at('k')}`)} }`,
    groups: (bindings) => rows.value(bindings),
    flops: (bindings) => 5 * rows.value(bindings) * inner.value(bindings),
  };
}
