/** The entry of a rank: mpirun or srun start as many of it as share a job. The root is the worker that the workbench talks to. */
import { TritsmithError } from '../contract/errors.ts';
import { type JobSpec, jobSpec } from '../contract/jobs.ts';
import { JobStopped } from '../pipeline/job.ts';
import { assertSame, describeRank, joinRanks } from '../pipeline/ranks.ts';
import { runJob } from '../pipeline/run-job.ts';
import { fromRoot, gatherTexts, isRoot } from '../training/collective.ts';
import { lastWord, rootChannel } from './rank-channel.ts';
import { serve } from './serve.ts';

// Files of the workbench and its workers are for its user alone; a daemon that starts ranks elsewhere has a mask of its own.
process.umask(0o077);
const { collective, mpi } = joinRanks();

/** Meets the others with the job that the root was given. */
async function begin(spec: JobSpec | null): Promise<JobSpec> {
  const shared = jobSpec.parse(await fromRoot(collective, spec));
  await assertSame(collective, await describeRank());
  return shared;
}

if (isRoot(collective))
  serve(
    rootChannel((done) => {
      if (done) mpi.leave();
      else mpi.abort(1);
    }),
    {
      runJob: async (spec, context) => {
        await begin(spec);
        const nodes = await gatherTexts(collective, collective.node);
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
    const spec = await begin(null);
    await gatherTexts(collective, collective.node);
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
