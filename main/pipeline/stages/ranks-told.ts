/** Tells how the ranks of a stage share it: in a note that pages and commands read, and now and then in the log. */
import { performance } from 'node:perf_hooks';
import type { JobKind } from '../../contract/jobs.ts';
import { render } from '../../contract/messages/message.ts';
import { inOneText } from '../../contract/messages/sentences.ts';
import { type SharedStage, sharedInWords } from '../../contract/shared-stages.ts';
import { writeSharedStage } from '../../experiment/shared-stages.ts';
import { isRoot } from '../../training/collective.ts';
import { collectiveOf, type JobContext } from '../job.ts';

const noteMilliseconds = 2000;
/** Steps after which the log has it first; the pause doubles each time. */
const firstLogged = 8;

export interface RanksTold {
  /** After each step. */
  hear(shared: SharedStage): void;
  /** Writes what was heard last. */
  end(): void;
}

export function tellRanks(context: JobContext, folder: string, job: JobKind): RanksTold {
  if (!isRoot(collectiveOf(context))) return { hear: () => undefined, end: () => undefined };
  let noted = -Infinity;
  let last: SharedStage | null = null;
  const end = (): void => {
    if (last !== null) writeSharedStage(folder, job, last);
    noted = performance.now();
    last = null;
  };
  return {
    hear: (shared) => {
      last = shared;
      if (shared.steps >= firstLogged && Number.isInteger(Math.log2(shared.steps / firstLogged)))
        context.emit({ type: 'log', level: 'info', text: inWords(shared) });
      if (performance.now() - noted > noteMilliseconds) end();
    },
    end,
  };
}

function inWords(shared: SharedStage): string {
  const each = shared.ranks.map(({ tokensPerSecond }, rank) => `rank ${rank}: ${Math.round(tokensPerSecond)}`);
  return `Tokens a second while computing: ${each.join(', ')}. ${inOneText(render(sharedInWords(shared)))}`;
}
