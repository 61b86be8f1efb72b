/** Fields of a recipe by their path, such as `distil.optimiser.learningRate`: their values and what the schema says of them. */
import { z } from 'zod';
import { type Recipe, recipeSchema } from './recipe.ts';

export function fieldOf(recipe: Recipe, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], recipe);
}

/** Null takes the field away, so that its default holds; a field of a stage that the recipe skips stays away. */
export function setField(recipe: Recipe, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const parent = keys.length === 0 ? recipe : fieldOf(recipe, keys.join('.'));
  if (parent === null || typeof parent !== 'object') return;
  const target = parent as Record<string, unknown>;
  if (value === null) Reflect.deleteProperty(target, last);
  else target[last] = value;
}

/** What a person may put into a field. */
export interface FieldKind {
  readonly kind: 'number' | 'whole' | 'choice' | 'switch' | 'text';
  /** Of a choice. */
  readonly options?: readonly string[];
  /** A word that the field takes besides a number. */
  readonly word?: string;
}

/** Reads off the schema what the field at `path` takes. @throws Error for a path that is no field of a recipe, or holds several */
export function fieldKind(path: string): FieldKind {
  let schema: z.core.$ZodType = recipeSchema;
  for (const key of path.split('.')) {
    const inner = bare(schema);
    const next = inner instanceof z.ZodObject ? (inner.shape as Record<string, z.core.$ZodType>)[key] : undefined;
    if (next === undefined) throw new Error(`a recipe has no field ${path}`);
    schema = next;
  }
  const field = bare(schema);
  const parts = field instanceof z.ZodUnion ? field.options.map(bare) : [field];
  const literal = parts.find((part) => part instanceof z.ZodLiteral);
  const number = parts.find((part) => part instanceof z.ZodNumber);
  if (number !== undefined)
    return {
      kind: number.isInt ? 'whole' : 'number',
      ...(literal === undefined ? {} : { word: String(literal.value) }),
    };
  if (field instanceof z.ZodEnum) return { kind: 'choice', options: field.options.map(String) };
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
