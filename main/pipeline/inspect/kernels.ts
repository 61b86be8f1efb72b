/** Which kernels of the native runtime this processor runs; jobs may not ask it themselves. */
export { availableKernels } from '../../../native/runtime.ts';
