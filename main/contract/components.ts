/** Other programs that are fetched only when a person asks for them: llama.cpp, to compare with and to prove exports in; WebGPU, to train on a graphics card. */
import { z } from 'zod';

export const componentName = z.enum(['llama.cpp', 'webgpu']);
export type ComponentName = z.infer<typeof componentName>;

export const componentState = z.object({
  name: componentName,
  /** What it is for, in a sentence. */
  purpose: z.string(),
  /** Of `package` of npm. */
  version: z.string(),
  package: z.string(),
  installed: z.boolean(),
  /** Where it is, or would be. */
  folder: z.string(),
  /** What it takes on the disk once it is there, roughly. */
  bytes: z.number(),
  /** Why it can't be had on this machine; null where it can. */
  obstacle: z.string().nullable(),
});
export type ComponentState = z.infer<typeof componentState>;

/** While it is installed: bytes that are there of about how many. */
export const componentProgress = z.object({
  name: componentName,
  text: z.string(),
  done: z.number(),
  total: z.number(),
});
export type ComponentProgress = z.infer<typeof componentProgress>;
