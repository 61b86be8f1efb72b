import { ref, type Ref } from 'vue';
import { type Problem, problemOf } from '../client.ts';

export interface Action {
  readonly busy: Ref<boolean>;
  readonly problem: Ref<Problem | null>;
  /** Runs `work` unless the last one still runs; what it throws is shown instead of thrown. Returns whether it went well. */
  run(work: () => Promise<unknown>): Promise<boolean>;
}

/** Something that a person starts: it can be under way, and it can fail. */
export function useAction(): Action {
  const busy = ref(false);
  const problem = ref<Problem | null>(null);
  return {
    busy,
    problem,
    run: async (work) => {
      if (busy.value) return false;
      busy.value = true;
      problem.value = null;
      try {
        await work();
        return true;
      } catch (thrown) {
        problem.value = problemOf(thrown);
        return false;
      } finally {
        busy.value = false;
      }
    },
  };
}
