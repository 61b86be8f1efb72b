/** The shape of findings in files and answers, for schemas. Pages render findings without it (`told.ts`), so their first one brings no zod. */
import { z } from 'zod';
import type { Told } from './sentences.ts';

/** The fields of a schema whose text is said by the catalogue; absent in what older versions wrote. */
export const spokenFields = { id: z.string().optional(), params: z.unknown().optional() };

/** Older versions kept the text alone. */
export const told = z.union([
  z.string().transform((text): Told => ({ text })),
  z.object({ ...spokenFields, text: z.string() }),
]);
