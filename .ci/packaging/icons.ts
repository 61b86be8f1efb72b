/** The program's icon in the formats of the systems, drawn from renderer/public/icon.svg: the few shapes that it is made of. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

type Point = readonly [x: number, y: number];
interface Shape {
  readonly colour: readonly [red: number, green: number, blue: number];
  /** Distance of a point from the shape's edge, negative inside. */
  readonly distance: (point: Point) => number;
}

const attribute = (tag: string, name: string): string => {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
  if (value === undefined) throw new Error(`The icon's ${tag} has no ${name}.`);
  return value;
};
const colourOf = (text: string): Shape['colour'] => {
  const value = Number.parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
};

/** Rectangles, circles, and paths of straight strokes with round ends. @throws Error for anything else in it */
export function shapesOf(svg: string): Shape[] {
  const tags = [...svg.matchAll(/<(\w+)([^>]*)>/g)].filter(([, name]) => name !== 'svg');
  return tags.flatMap(([tag, name, rest]): Shape[] => {
    const number = (key: string): number => Number(attribute(tag, key));
    if (name === 'rect') {
      const [half, radius] = [number('width') / 2, number('rx')];
      const distance = ([x, y]: Point): number => {
        const [dx, dy] = [Math.abs(x - half) - half + radius, Math.abs(y - half) - half + radius];
        return Math.hypot(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - radius;
      };
      return [{ colour: colourOf(attribute(tag, 'fill')), distance }];
    }
    if (name === 'circle') {
      const [cx, cy, r] = [number('cx'), number('cy'), number('r')];
      return [{ colour: colourOf(attribute(tag, 'fill')), distance: ([x, y]) => Math.hypot(x - cx, y - cy) - r }];
    }
    if (name !== 'path') throw new Error(`The icon holds a ${String(name)}${String(rest)}, which is not drawn here.`);
    const colour = colourOf(attribute(tag, 'stroke'));
    const width = number('stroke-width');
    return [...attribute(tag, 'd').matchAll(/M(\S+) (\S+?)([hv])([\d.]+)/g)].map(([, x, y, direction, length]) => {
      const from: Point = [Number(x), Number(y)];
      const [along, across] = direction === 'h' ? [0, 1] : [1, 0];
      const distance = (point: Point): number => {
        const behind = point[along]! - from[along]!;
        const nearest = Math.min(Math.max(behind, 0), Number(length));
        return Math.hypot(behind - nearest, point[across]! - from[across]!) - width / 2;
      };
      return { colour, distance };
    });
  });
}

/** RGBA, `size` pixels wide and high; edges are soft over one pixel. */
export function draw(shapes: readonly Shape[], size: number, viewBox = 32): Uint8Array {
  const pixels = new Uint8Array(size * size * 4);
  const scale = viewBox / size;
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const point: Point = [(column + 0.5) * scale, (row + 0.5) * scale];
      const at = (row * size + column) * 4;
      for (const { colour, distance } of shapes) {
        const covered = Math.min(Math.max(0.5 - distance(point) / scale, 0), 1);
        // All but the first lie wholly upon it.
        for (let channel = 0; channel < 3; channel++)
          pixels[at + channel] =
            pixels[at + 3] === 0
              ? colour[channel]!
              : Math.round(pixels[at + channel]! * (1 - covered) + colour[channel]! * covered);
        pixels[at + 3] = Math.max(pixels[at + 3]!, Math.round(covered * 255));
      }
    }
  return pixels;
}

export function png(pixels: Uint8Array, size: number): Buffer {
  const chunk = (type: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const framed = Buffer.alloc(8 + body.length);
    framed.writeUInt32BE(data.length, 0);
    body.copy(framed, 4);
    framed.writeUInt32BE(crc32(body), 4 + body.length);
    return framed;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  // Eight bits, red, green, blue and alpha.
  header.set([8, 6, 0, 0, 0], 8);
  const lines = Buffer.alloc(size * (size * 4 + 1));
  for (let row = 0; row < size; row++)
    lines.set(pixels.subarray(row * size * 4, (row + 1) * size * 4), row * (size * 4 + 1) + 1);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(lines, { level: 9 })),
    chunk('IEND', new Uint8Array()),
  ]);
}

function ico(images: ReadonlyMap<number, Buffer>): Buffer {
  const head = Buffer.alloc(6 + 16 * images.size);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(images.size, 4);
  let offset = head.length;
  [...images].forEach(([size, data], index) => {
    const entry = 6 + 16 * index;
    // 256 is written as 0.
    head.set([size & 255, size & 255], entry);
    head.writeUInt16LE(1, entry + 4);
    head.writeUInt16LE(32, entry + 6);
    head.writeUInt32LE(data.length, entry + 8);
    head.writeUInt32LE(offset, entry + 12);
    offset += data.length;
  });
  return Buffer.concat([head, ...images.values()]);
}

const ofMac: readonly [type: string, size: number][] = [
  ['ic07', 128],
  ['ic08', 256],
  ['ic09', 512],
  ['ic10', 1024],
];
function icns(images: ReadonlyMap<number, Buffer>): Buffer {
  const parts = ofMac.map(([type, size]) => {
    const data = images.get(size)!;
    const head = Buffer.from(`${type}\0\0\0\0`, 'latin1');
    head.writeUInt32BE(8 + data.length, 4);
    return Buffer.concat([head, data]);
  });
  const head = Buffer.from('icns\0\0\0\0', 'latin1');
  head.writeUInt32BE(8 + parts.reduce((sum, part) => sum + part.length, 0), 4);
  return Buffer.concat([head, ...parts]);
}

/** Writes icon.ico, icon.icns, and for Linux `icons/<size>x<size>.png` into `folder`. */
export function writeIcons(svg: string, folder: string): void {
  const shapes = shapesOf(readFileSync(svg, 'utf8'));
  const sizes = [16, 32, 48, 64, 128, 256, 512, 1024];
  const images = new Map(sizes.map((size) => [size, png(draw(shapes, size), size)]));
  mkdirSync(join(folder, 'icons'), { recursive: true });
  for (const [size, data] of images) writeFileSync(join(folder, 'icons', `${size}x${size}.png`), data);
  writeFileSync(join(folder, 'icon.ico'), ico(new Map([...images].filter(([size]) => size <= 256))));
  writeFileSync(join(folder, 'icon.icns'), icns(images));
}
