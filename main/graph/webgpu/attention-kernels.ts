/**
 * Attention in blocks of 32 queries by 32 keys (FlashAttention: Dao et al., 2022): a workgroup keeps a block of its own positions, and the other side streams by. Scores live in
 * workgroup memory alone. Forward: a running maximum and sum of each row. Backward: probabilities again from queries, keys and the logarithm of the row's sum; the gradient of the
 * queries and those of keys and values are made by different kernels, so nothing is added by two workgroups and equal inputs give equal bits.
 */
import type { Bindings } from '../backend.ts';
import type { Dimension } from '../graph.ts';
import type { OnnxNode } from '../onnx-format.ts';
import { Product } from './dimensions.ts';
import { intOf, literal } from './expressions.ts';
import { type Body, type Features, rowSum, type Source, type Store } from './kernels.ts';

/** Positions of a block, on both sides. */
const side = 32;
/** Of these a thread has so many. */
const rows = 4;
/** Vectors of four numbers that workgroup memory has room for beside the scores of a block: 8 of the 16 KB that every card has. */
const tileSize = 512;

interface Shape {
  readonly B: Product;
  readonly T: Product;
  readonly heads: number;
  readonly kvHeads: number;
  readonly size: number;
  readonly scale: string;
  /** Vectors of four numbers in a head. */
  readonly columns: number;
  /** Threads beside each other: these times eight are a workgroup. */
  readonly across: number;
  /** Vectors of a head that a thread adds up, for each of its rows. */
  readonly each: number;
  readonly threads: number;
}

function shapeOf({ attributes }: OnnxNode, q: Source): Shape {
  const [B, T, width] = q.value.shape as [Dimension, Dimension, number];
  const heads = intOf(attributes['heads'], 1);
  const { scale } = attributes;
  const size = width / heads;
  const columns = Math.ceil(size / 4);
  if (columns > tileSize) throw new Error(`heads of ${size} are too wide for the kernels of attention`);
  const across = columns <= 16 ? 8 : columns <= 32 ? 16 : 32;
  return {
    B: new Product([B]),
    T: new Product([T]),
    heads,
    kvHeads: intOf(attributes['kvHeads'], 1),
    size,
    scale: literal(scale && 'float' in scale ? scale.float : 1),
    columns,
    across,
    each: Math.ceil(columns / across),
    threads: (across * side) / rows,
  };
}

const counted = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const each = (count: number, text: (index: number) => string): string => counted(count).map(text).join(' ');

/** A function that reads four neighbouring numbers of a head; zeros behind the last position. */
function reader(name: string, source: Source, heads: number, { T, size, columns }: Shape): string {
  const element = (place: number): string => {
    const value = source.at(`at + ${place}u`);
    return size % 4 === 0 ? value : `select(0.0, ${value}, 4u * c + ${place}u < ${size}u)`;
  };
  return `
fn ${name}(b: u32, t: u32, head: u32, c: u32) -> vec4f {
  if (t >= ${T.text} || c >= ${columns}u) { return vec4f(); }
  let at = ((b * ${T.text} + t) * ${heads}u + head) * ${size}u + 4u * c;
  return vec4f(${counted(4).map(element).join(', ')});
}`;
}

/** One side of a product of blocks: the function that reads it, its first position and its head. */
interface Side {
  readonly read: string;
  readonly first: string;
  readonly head: string;
}

/** Products of a block's own vectors with those that stream by, in an array of each thread, row by row of a column. */
function scores(
  { columns, across, threads }: Shape,
  products: readonly { readonly name: string; readonly own: Side; readonly other: Side }[],
): string {
  const step = Math.min(columns, tileSize / side / (2 * products.length));
  const kept = side / across;
  const load = ({ read, first, head }: Side, place: number): string =>
    `tile[(${place * step}u + c) * ${side}u + line] = ${read}(b, ${first} + line, ${head}, c0 + c);`;
  const added = products.map(({ name }, product) => [
    each(rows, (row) => `let a${row} = tile[(${2 * product * step}u + c) * ${side}u + ${rows}u * y + ${row}u];`),
    ...counted(kept).map(
      (column) => `{ let x_ = tile[(${(2 * product + 1) * step}u + c) * ${side}u + x + ${column * across}u];
        ${each(rows, (row) => `${name}${row}_${column} += dot(a${row}, x_);`)} }`,
    ),
  ]);
  return `
    ${products.map(({ name }) => each(rows * kept, (at) => `var ${name}${at % rows}_${Math.floor(at / rows)} = 0.0;`)).join(' ')}
    for (var c0 = 0u; c0 < ${columns}u; c0 += ${step}u) {
      for (var e = l; e < ${side * step}u; e += ${threads}u) {
        let line = e / ${step}u; let c = e % ${step}u;
        ${products.flatMap(({ own, other }, product) => [load(own, 2 * product), load(other, 2 * product + 1)]).join('\n        ')}
      }
      workgroupBarrier();
      for (var c = 0u; c < ${step}u; c += 1u) {
        ${added.map((lines) => `{ ${lines.join('\n        ')} }`).join('\n        ')}
      }
      workgroupBarrier();
    }
    ${products
      .map(
        ({ name }) =>
          `var ${name} = array<f32, ${rows * kept}>(${counted(rows * kept)
            .map((at) => `${name}${at % rows}_${Math.floor(at / rows)}`)
            .join(', ')});`,
      )
      .join(' ')}`;
}

/**
 * Writes a value of each pair of the block to workgroup memory, in a loop over the thread's products `NAME[j]`, which is less to compile than as many statements.
 * @param text value of the pair of the own position `mine` and the other `theirs`, places in the block
 */
function toPairs({ across }: Shape, text: string): string {
  return `
    for (var j = 0u; j < ${(rows * side) / across}u; j += 1u) {
      let mine = ${rows}u * y + j % ${rows}u;
      let theirs = x + ${across}u * (j / ${rows}u);
      pairs[theirs * ${side}u + mine] = ${text};
    }`;
}

/** Adds the vectors that stream by, times the values of the pairs, to `NAME{row}_{column}`. It needs a barrier before it and ends with one. */
function accumulate(
  { columns, across, each: count, threads }: Shape,
  name: string,
  { read, first, head }: Side,
): string {
  let lines = side;
  while (lines > 1 && lines * columns > tileSize) lines /= 2;
  return `
    for (var k0 = 0u; k0 < ${side}u; k0 += ${lines}u) {
      for (var e = l; e < ${lines * columns}u; e += ${threads}u) {
        tile[e] = ${read}(b, ${first} + k0 + e / ${columns}u, ${head}, e % ${columns}u);
      }
      workgroupBarrier();
      for (var k = 0u; k < ${lines}u; k += 1u) {
        ${each(rows, (row) => `let a${row} = pairs[(k0 + k) * ${side}u + ${rows}u * y + ${row}u];`)}
        ${counted(count)
          .map(
            (column) => `{ let x_ = tile[min(k * ${columns}u + x + ${column * across}u, ${lines * columns - 1}u)];
          ${each(rows, (row) => `${name}${row}_${column} += a${row} * x_;`)} }`,
          )
          .join('\n        ')}
      }
      workgroupBarrier();
    }`;
}

const sums = (name: string, { each: count }: Shape): string =>
  each(rows * count, (at) => `var ${name}${at % rows}_${Math.floor(at / rows)} = vec4f();`);

/** Hands what a thread has added up to `store`, times a factor of the row. */
function result(
  name: string,
  { T, each: count, across, size }: Shape,
  { heads, head, factor }: { readonly heads: number; readonly head: string; readonly factor: (row: number) => string },
  store: Store,
): string {
  const values = counted(rows * count).map(
    (at) => `${factor(at % rows)} * ${name}${at % rows}_${Math.floor(at / rows)}`,
  );
  // Written once, not for each of the sums: drivers compile it in a fraction of the time.
  return `
  var ${name} = array<vec4f, ${rows * count}>(${values.join(', ')});
  for (var j = 0u; j < ${4 * rows * count}u; j += 1u) {
    let t = own + ${rows}u * y + (j / 4u) % ${rows}u;
    let place = 4u * (x + ${across}u * (j / ${4 * rows}u)) + j % 4u;
    if (t < ${T.text} && place < ${size}u) {
      ${store(`((b * ${T.text} + t) * ${heads}u + ${head}) * ${size}u + place`, `${name}[j / 4u][j % 4u]`)}
    }
  }`;
}

/** Which block of its own a workgroup has, of which head: those with the most keys first. */
function begin({ B, T, across }: Shape, heads: number, last: boolean): string {
  return `
  let blocks = (${T.text} + ${side - 1}u) / ${side}u;
  if (group >= blocks * ${B.text} * ${heads}u) { return; }
  let each_ = ${B.text} * ${heads}u;
  let own = ${last ? '(blocks - 1u - group / each_)' : 'group / each_'} * ${side}u;
  let head = group % ${heads}u;
  let b = (group % each_) / ${heads}u;
  let y = l / ${across}u;
  let x = l % ${across}u;`;
}

const memory = `
var<workgroup> tile: array<vec4f, ${tileSize}>;
var<workgroup> pairs: array<f32, ${side * side}>;`;

/** Whether a row sees a key. */
const seen = (row: string, key: string): string => `${key} <= ${row} && ${row} < ${key} + reach`;

/** The first block of keys that a block of queries reaches; `reach` is the window. */
const firstKey = `select(0u, own + 1u - reach, own + 1u > reach) / ${side}u * ${side}u`;

function counts({ B, T, size }: Shape, heads: number, products: number): Pick<Body, 'groups' | 'flops'> {
  const pairs = (bindings: Bindings): number => {
    const length = T.value(bindings);
    return (B.value(bindings) * heads * length * (length + 1)) / 2;
  };
  return {
    groups: (bindings) => B.value(bindings) * heads * Math.ceil(T.value(bindings) / side),
    // Of a row without a window.
    flops: (bindings) => 2 * products * size * pairs(bindings),
  };
}

/**
 * `StreamedAttention`: what the rows see, and where it is asked for the logarithm of the sum of each row's exponentials.
 * @param logSum takes the latter
 */
export function streamedAttention(
  node: OnnxNode,
  [q, k, v, window]: readonly Source[],
  store: Store,
  logSum: Store,
): Body {
  const shape = shapeOf(node, q!);
  const { T, heads, kvHeads, threads } = shape;
  const parts = threads / side;
  const keys = side / parts;
  const kv = `head / ${heads / kvHeads}u`;
  const key = { first: 'start', head: kv };
  const own = { read: 'readQ', first: 'own', head: 'head' };
  return {
    prelude: `${memory}
var<workgroup> partLargest: array<f32, ${threads}>;
var<workgroup> partSum: array<f32, ${threads}>;
var<workgroup> factors: array<f32, ${side}>;
${reader('readQ', q!, heads, shape)}${reader('readK', k!, kvHeads, shape)}${reader('readV', v!, kvHeads, shape)}
`,
    workgroupSize: threads,
    code: `${begin(shape, heads, true)}
  let reach = u32(${window!.at('0u')});
  let line = l % ${side}u;
  let part = l / ${side}u;
  ${sums('o', shape)}
  var most = -3.4e38;
  var sum = 0.0;
  for (var start = ${firstKey}; start < min(own + ${side}u, ${T.text}); start += ${side}u) {
    ${scores(shape, [{ name: 's', own, other: { read: 'readK', ...key } }])}
    ${toPairs(shape, `select(-3.4e38, ${shape.scale} * s[j], ${seen('own + mine', 'start + theirs')})`)}
    workgroupBarrier();
    var largest = most;
    for (var j = part * ${keys}u; j < (part + 1u) * ${keys}u; j += 1u) { largest = max(largest, pairs[j * ${side}u + line]); }
    partLargest[l] = largest;
    workgroupBarrier();
    for (var j = 0u; j < ${parts}u; j += 1u) { largest = max(largest, partLargest[j * ${side}u + line]); }
    var added = 0.0;
    for (var j = part * ${keys}u; j < (part + 1u) * ${keys}u; j += 1u) {
      let score = pairs[j * ${side}u + line];
      let p = select(exp(score - largest), 0.0, score < -3.0e38);
      pairs[j * ${side}u + line] = p;
      added += p;
    }
    partSum[l] = added;
    let shrunk = exp(most - largest);
    if (part == 0u) { factors[line] = shrunk; }
    workgroupBarrier();
    sum *= shrunk;
    for (var j = 0u; j < ${parts}u; j += 1u) { sum += partSum[j * ${side}u + line]; }
    most = largest;
    ${each(rows, (row) => `let f${row} = factors[${rows}u * y + ${row}u]; ${each(shape.each, (column) => `o${row}_${column} *= f${row};`)}`)}
    ${accumulate(shape, 'o', { read: 'readV', ...key })}
  }
  if (part == 0u) { factors[line] = 1.0 / sum; }
  workgroupBarrier();
  if (part == 0u && own + line < ${T.text}) { ${logSum(`(b * ${T.text} + own + line) * ${heads}u + head`, 'most + log(sum)')} }
  ${result('o', shape, { heads, head: 'head', factor: (row) => `factors[${rows}u * y + ${row}u]` }, store)}`,
    ...counts(shape, heads, 2),
  };
}

/** `StreamedAttentionRows`: of each row and head the logarithm of its sum again, `[.., H]`, and behind these the product of what it saw with that one's gradient. */
export function streamedAttentionRows(
  node: OnnxNode,
  [o, dO, logSums]: readonly Source[],
  write: (index: string, value: string) => string,
  features: Features,
): Body {
  const { heads, size } = shapeOf(node, o!);
  const inner = new Product([size]);
  const place = `group / ${heads}u * ${2 * heads}u + group % ${heads}u`;
  return rowSum(
    new Product([...o!.value.shape.slice(0, 2), heads]),
    inner,
    'k',
    `sum + ${o!.at(`group * ${size}u + k`)} * ${dO!.at(`group * ${size}u + k`)}`,
    (value) => `${write(place, logSums!.at('group'))} ${write(`${place} + ${heads}u`, value)}`,
    features,
  );
}

const backwardReaders = (shape: Shape, { q, k, v, dO }: Readonly<Record<'q' | 'k' | 'v' | 'dO', Source>>): string =>
  [
    reader('readQ', q, shape.heads, shape),
    reader('readK', k, shape.kvHeads, shape),
    reader('readV', v, shape.kvHeads, shape),
    reader('readD', dO, shape.heads, shape),
  ].join('');

const statisticsMemory = `
var<workgroup> logSums: array<f32, ${side}>;
var<workgroup> along: array<f32, ${side}>;`;

/** Brings the two numbers of each row of a block to workgroup memory; a barrier must follow. */
function loadStatistics(
  statistics: Source,
  { T, heads }: Shape,
  { first, head }: Pick<Side, 'first' | 'head'>,
): string {
  return `if (l < ${side}u) {
    let at = (b * ${T.text} + min(${first} + l, ${T.text} - 1u)) * ${2 * heads}u + ${head};
    logSums[l] = ${statistics.at('at')};
    along[l] = ${statistics.at(`at + ${heads}u`)};
  }`;
}

/** `StreamedAttentionQueries`: the gradient of the queries. */
export function streamedAttentionQueries(
  node: OnnxNode,
  [q, k, v, dO, statistics, window]: readonly Source[],
  store: Store,
): Body {
  const shape = shapeOf(node, q!);
  const { T, heads, kvHeads, threads, scale } = shape;
  const key = { first: 'start', head: `head / ${heads / kvHeads}u` };
  const own = { first: 'own', head: 'head' };
  return {
    prelude: `${memory}${statisticsMemory}
${backwardReaders(shape, { q: q!, k: k!, v: v!, dO: dO! })}
`,
    workgroupSize: threads,
    code: `${begin(shape, heads, true)}
  let reach = u32(${window!.at('0u')});
  ${loadStatistics(statistics!, shape, own)}
  ${sums('o', shape)}
  for (var start = ${firstKey}; start < min(own + ${side}u, ${T.text}); start += ${side}u) {
    ${scores(shape, [
      { name: 's', own: { read: 'readQ', ...own }, other: { read: 'readK', ...key } },
      { name: 'p', own: { read: 'readD', ...own }, other: { read: 'readV', ...key } },
    ])}
    ${toPairs(shape, `select(0.0, exp(${scale} * s[j] - logSums[mine]) * (p[j] - along[mine]), ${seen('own + mine', 'start + theirs')})`)}
    workgroupBarrier();
    ${accumulate(shape, 'o', { read: 'readK', ...key })}
  }
  ${result('o', shape, { heads, head: 'head', factor: () => scale }, store)}`,
    ...counts(shape, heads, 3),
  };
}

/** `StreamedAttentionKeys`: the gradients of keys and values, added up over the queries that share them, in their order. */
export function streamedAttentionKeys(
  node: OnnxNode,
  [q, k, v, dO, statistics, window]: readonly Source[],
  storeK: Store,
  storeV: Store,
): Body {
  const shape = shapeOf(node, q!);
  const { T, heads, kvHeads, threads, scale } = shape;
  const group = heads / kvHeads;
  const own = { first: 'own', head: 'head' };
  const query = { first: 'start', head: 'asker' };
  return {
    prelude: `${memory}${statisticsMemory}
${backwardReaders(shape, { q: q!, k: k!, v: v!, dO: dO! })}
`,
    workgroupSize: threads,
    code: `${begin(shape, kvHeads, false)}
  let reach = u32(${window!.at('0u')});
  ${sums('dk', shape)}
  ${sums('dv', shape)}
  for (var asker = head * ${group}u; asker < (head + 1u) * ${group}u; asker += 1u) {
    for (var start = own; start < min(own + ${side - 1}u + reach, ${T.text}); start += ${side}u) {
      ${loadStatistics(statistics!, shape, query)}
      ${scores(shape, [
        { name: 's', own: { read: 'readK', ...own }, other: { read: 'readQ', ...query } },
        { name: 'p', own: { read: 'readV', ...own }, other: { read: 'readD', ...query } },
      ])}
      ${toPairs(shape, `select(0.0, exp(${scale} * s[j] - logSums[theirs]), ${seen('start + theirs', 'own + mine')} && start + theirs < ${T.text})`)}
      workgroupBarrier();
      ${accumulate(shape, 'dv', { read: 'readD', ...query })}
      ${toPairs(shape, `pairs[theirs * ${side}u + mine] * (p[j] - along[theirs])`)}
      workgroupBarrier();
      ${accumulate(shape, 'dk', { read: 'readQ', ...query })}
    }
  }
  ${result('dk', shape, { heads: kvHeads, head: 'head', factor: () => scale }, storeK)}
  ${result('dv', shape, { heads: kvHeads, head: 'head', factor: () => '1.0' }, storeV)}`,
    ...counts(shape, heads, 4),
    groups: (bindings) => shape.B.value(bindings) * kvHeads * Math.ceil(T.value(bindings) / side),
  };
}
