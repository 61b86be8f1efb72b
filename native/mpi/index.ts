/** Typed door to the exchange between ranks. Loaded only in processes that mpirun or srun started. */
import { constants } from 'node:os';
import { mpiAddon } from './build.ts';

export { buildMpi, type MpiBuild } from './build.ts';

/** All exchanges are collective: every rank calls them in the same order with the same bounds. One at a time. */
export interface NativeMpi {
  /** MPI_Init. `library`: which MPI and version. */
  join(): { rank: number; size: number; node: string; library: string };
  /** MPI_Finalize. */
  leave(): void;
  /** Ends every rank with this exit code; does not return. */
  abort(code: number): void;
  /**
   * The own range of `values` becomes the sum over all ranks, added pairwise in their order ((0 + 1) + (2 + 3)); the rest is left as it was.
   * @param bounds rank r has `values[bounds[r]]` to `values[bounds[r + 1]]`
   * @param halved all values are bfloat16 numbers, and travel in two bytes each
   */
  reduceSlices(values: Float32Array, bounds: Float64Array, halved: boolean): Promise<void>;
  /**
   * Puts every rank's own range in its place.
   * @param own values of the own range; may be a part of `all`
   * @param all null where nothing is received
   * @param root rank that receives; -1: all of them
   */
  gatherSlices(own: Float32Array, all: Float32Array | null, bounds: Float64Array, root: number): Promise<void>;
  /** Adds every rank's `own`, which are bfloat16 numbers and travel in two bytes each, to its range of `all`, at every rank. */
  addSlices(own: Float32Array, all: Float32Array, bounds: Float64Array): Promise<void>;
  /** Numbers of all ranks, as many of each, in the order of the ranks. */
  gatherNumbers(own: Float64Array, all: Float64Array): Promise<void>;
  /** Fills `bytes`, which are as many everywhere, with those of `root`. */
  broadcast(bytes: Uint8Array, root: number): Promise<void>;
  /** Bytes that this rank gave to the others since it joined them, headers of the network not counted. */
  sent(): number;
}

/** @throws Error where it was not built for this machine */
export function loadMpi(): NativeMpi {
  const module = { exports: {} };
  // Open MPI opens components of its own, which look for the symbols of its library.
  process.dlopen(module, mpiAddon, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL);
  return module.exports as NativeMpi;
}
