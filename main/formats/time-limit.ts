/** Ends synchronous work that takes too long, also inside a regular expression. */
import vm from 'node:vm';

const place: { work: () => unknown } = { work: () => undefined };
let context: vm.Context | undefined;
const script = new vm.Script('work()');

/** Thrown by `withinTime`. */
export class TimeIsUp extends Error {}

/**
 * Result of `work`, which must be synchronous and must not call this function itself. A watchdog thread stops it after `seconds`; it
 * costs about half a millisecond.
 * @throws TimeIsUp, or what `work` throws
 */
export function withinTime<T>(seconds: number, work: () => T): T {
  context ??= vm.createContext(place);
  place.work = work;
  try {
    return script.runInContext(context, { timeout: Math.ceil(seconds * 1000) }) as T;
  } catch (thrown) {
    if ((thrown as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw new TimeIsUp(`it takes more than ${seconds.toFixed(0)} seconds`);
    throw thrown;
  } finally {
    place.work = () => undefined;
  }
}
