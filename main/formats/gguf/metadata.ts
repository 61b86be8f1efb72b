/** Metadata values of GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), typed as they are in the file. */

const scalarTypes = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const;

export type NumberType =
  'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'float32' | 'uint64' | 'int64' | 'float64';
export type ItemType = NumberType | 'bool' | 'string';

/** 64-bit numbers beyond the safe integers are bigint. */
export type GgufValue =
  | { readonly type: NumberType; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly items: NumberType; readonly value: readonly (number | bigint)[] }
  | { readonly type: 'array'; readonly items: 'bool'; readonly value: readonly boolean[] }
  | { readonly type: 'array'; readonly items: 'string'; readonly value: readonly string[] }
  | { readonly type: 'array'; readonly items: 'array'; readonly value: readonly GgufValue[] };

/** In the order of the file. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Number of a type in the file. */
export function typeNumber(type: (typeof scalarTypes)[number]): number {
  return scalarTypes.indexOf(type);
}

/** Name of a type by its number; undefined for an unknown one. */
export function typeOfNumber(number: number): (typeof scalarTypes)[number] | undefined {
  return scalarTypes[number];
}

const numberBytes: Record<NumberType, number> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** Least bytes that an item of a type takes. */
export function leastBytes(type: (typeof scalarTypes)[number]): number {
  if (type === 'bool') return 1;
  if (type === 'string') return 8;
  return type === 'array' ? 12 : numberBytes[type];
}

export const string = (value: string): GgufValue => ({ type: 'string', value });
export const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
export const float32 = (value: number): GgufValue => ({ type: 'float32', value });
export const bool = (value: boolean): GgufValue => ({ type: 'bool', value });
export const strings = (value: readonly string[]): GgufValue => ({ type: 'array', items: 'string', value });
export const int32s = (value: readonly number[]): GgufValue => ({ type: 'array', items: 'int32', value });
export const float32s = (value: readonly number[]): GgufValue => ({ type: 'array', items: 'float32', value });
