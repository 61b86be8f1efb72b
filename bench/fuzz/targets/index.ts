/** Every parser of files that the project did not write itself, or that may have been damaged since. */
import type { FuzzTarget } from '../target.ts';
import { datasetTargets } from './datasets.ts';
import { tokenizerTargets } from './tokenizers.ts';
import { weightTargets } from './weights.ts';

export const fuzzTargets: readonly FuzzTarget[] = [...weightTargets, ...tokenizerTargets, ...datasetTargets];
