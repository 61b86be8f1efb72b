/** The entry of every worker process. The pipeline is loaded only when it is needed, so that a failure to load it is reported like any other. */
import { openChannel } from './channel.ts';
import { serve } from './serve.ts';

serve(openChannel(), {
  runJob: async (spec, context) => {
    const { runJob } = await import('../pipeline/run-job.ts');
    return runJob(spec, context);
  },
  answerQuery: async (query) => {
    if (query.type === 'probe-runtime') {
      const { probeRuntime } = await import('./engine-probe.ts');
      return probeRuntime();
    }
    const { answerQuery } = await import('../pipeline/queries.ts');
    return answerQuery(query);
  },
});
