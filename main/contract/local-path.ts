/** Texts of the contract that name a file or folder of this machine: marked in their schema, so that one place can see every one of them. */
import { z } from 'zod';

/** A path that is not empty. Whoever sends it asks that what lies there is read or shown. */
export function localPath(): z.ZodString {
  return z.string().min(1).meta({ localPath: true });
}

/** The name of the file or folder that a path of any system ends in. */
export function lastPart(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== '') ?? path;
}

/** Of a model's folder in the cache of Hugging Face: `models--owner--name`. */
export const modelsPrefix = 'models--';

/** The name by which people know the model in the folder `path`: that of the Hub for one of the cache, else the folder's. */
export function modelName(path: string): string {
  const [snapshots, model] = path.split(/[\\/]/).slice(-3, -1).reverse();
  return snapshots === 'snapshots' && model?.startsWith(modelsPrefix) === true
    ? model.slice(modelsPrefix.length).replace('--', '/')
    : lastPart(path);
}

/** `~` and `~/…` of a shell, which a field or a quoted argument does not expand; other paths stay as they are. */
export function withHome(path: string, home: string): string {
  return /^~(?:[\\/]|$)/.test(path) ? home + path.slice(1) : path;
}

/** As much of a JSON schema as is needed to find the paths in a value. */
interface Shape {
  readonly localPath?: unknown;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly additionalProperties?: Shape | boolean;
  readonly items?: Shape;
  readonly anyOf?: readonly Shape[];
  readonly oneOf?: readonly Shape[];
  readonly allOf?: readonly Shape[];
}
const shapes = new WeakMap<z.ZodType, Shape>();

/** The paths in `value` where `schema` has marked them, each once; `value` need not have been checked against the schema. */
export function localPathsIn(schema: z.ZodType, value: unknown): string[] {
  let shape = shapes.get(schema);
  if (shape === undefined) {
    shape = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as Shape;
    shapes.set(schema, shape);
  }
  const found = new Set<string>();
  collect(shape, value, found);
  return [...found];
}

function collect(shape: Shape, value: unknown, found: Set<string>): void {
  if (shape.localPath === true && typeof value === 'string') found.add(value);
  for (const each of [...(shape.anyOf ?? []), ...(shape.oneOf ?? []), ...(shape.allOf ?? [])])
    collect(each, value, found);
  if (Array.isArray(value)) {
    if (shape.items !== undefined) for (const item of value) collect(shape.items, item, found);
  } else if (typeof value === 'object' && value !== null)
    for (const [key, child] of Object.entries(value)) {
      const known = Object.hasOwn(shape.properties ?? {}, key) ? shape.properties![key] : shape.additionalProperties;
      if (typeof known === 'object') collect(known, child, found);
    }
}
