/** The entry of a rank: mpirun or srun start as many of it as share a job. The root is the worker that the workbench talks to. */
import { TritsmithError } from '../contract/errors.ts';
import { JobStopped } from '../pipeline/job.ts';
import { joinRanks, meetForJob } from '../pipeline/ranks.ts';
import { runJob } from '../pipeline/run-job.ts';
import { lastWord, rootChannel } from './rank-channel.ts';
import { serve } from './serve.ts';

// Files of the workbench and its workers are for its user alone; a daemon that starts ranks elsewhere has a mask of its own.
process.umask(0o077);
const { collective, mpi } = joinRanks();

if (collective.rank === 0)
  serve(
    rootChannel((done) => {
      if (done) mpi.leave();
      else mpi.abort(1);
    }),
    {
      runJob: async (spec, context) => {
        const { nodes } = await meetForJob(collective, spec);
        const { shards, threads } = spec.recipe;
        context.emit({
          type: 'log',
          level: 'info',
          text: `${collective.size} ranks share ${shards ?? 1} shards, ${threads} threads each: ${nodes.join(', ')}.`,
        });
        return runJob(spec, { ...context, collective });
      },
      answerQuery: () => Promise.reject(new Error('ranks answer no questions')),
    },
  );
else
  try {
    const { spec } = await meetForJob(collective, null);
    // Told to stop, they end with the root, which says so.
    await runJob(spec, { emit: () => undefined, stopRequested: () => null, collective });
    mpi.leave();
    process.exit(0);
  } catch (thrown) {
    if (thrown instanceof JobStopped) setInterval(() => undefined, 60_000);
    else {
      await lastWord({ type: 'failed', error: TritsmithError.from(thrown).serialise() });
      mpi.abort(1);
    }
  }
