/** Fields of a recipe by their path, such as `distil.optimiser.learningRate`: their values and what the schema says of them. */
import { z } from 'zod';
import { type Recipe, recipeSchema } from './recipe.ts';

export function fieldOf(recipe: Recipe, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], recipe);
}

/**
 * Null takes the field away, so that its default holds; a field of a stage that the recipe skips stays away. What holds the field is made where the recipe
 * lacks it and it may be empty.
 */
export function setField(recipe: Recipe, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let target: Record<string, unknown> = recipe;
  for (const [at, key] of keys.entries()) {
    if (target[key] === undefined && value !== null && schemaAt(keys.slice(0, at + 1)).safeParse({}).success)
      target[key] = {};
    const next = target[key];
    if (next === null || typeof next !== 'object') return;
    target = next as Record<string, unknown>;
  }
  if (value === null) Reflect.deleteProperty(target, last);
  else target[last] = value;
}

/** What a person may put into a field. */
export interface FieldKind {
  readonly kind: 'number' | 'whole' | 'choice' | 'switch' | 'text';
  /** Of a choice. */
  readonly options?: readonly string[];
  /** Words that the field takes besides a number. */
  readonly words?: readonly string[];
}

/** @throws Error for a path that is no field of a recipe */
function schemaAt(keys: readonly string[]): z.ZodType {
  let schema: z.core.$ZodType = recipeSchema;
  for (const key of keys) {
    const inner = bare(schema);
    const next = inner instanceof z.ZodObject ? (inner.shape as Record<string, z.core.$ZodType>)[key] : undefined;
    if (next === undefined) throw new Error(`a recipe has no field ${keys.join('.')}`);
    schema = next;
  }
  return schema as z.ZodType;
}

/** Words that a schema is or lists. */
function wordsOf(schema: z.core.$ZodType): string[] {
  if (schema instanceof z.ZodLiteral) return [String(schema.value)];
  return schema instanceof z.ZodEnum ? schema.options.map(String) : [];
}

/** Reads off the schema what the field at `path` takes. @throws Error for a path that is no field of a recipe, or holds several */
export function fieldKind(path: string): FieldKind {
  const field = bare(schemaAt(path.split('.')));
  const parts = field instanceof z.ZodUnion ? field.options.map(bare) : [field];
  const number = parts.find((part) => part instanceof z.ZodNumber);
  const words = parts.flatMap(wordsOf);
  if (number !== undefined)
    return { kind: number.isInt ? 'whole' : 'number', ...(words.length === 0 ? {} : { words }) };
  if (field instanceof z.ZodEnum) return { kind: 'choice', options: words };
  if (field instanceof z.ZodBoolean) return { kind: 'switch' };
  if (field instanceof z.ZodString) return { kind: 'text' };
  throw new Error(`${path} is more than one setting`);
}

/** The schema under defaults and under leave to be absent or null. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable || inner instanceof z.ZodDefault)
    inner = inner.unwrap();
  return inner;
}
