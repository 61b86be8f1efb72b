/** The rows that stages look at without training on them. */
import type { JobSpec } from '../../contract/jobs.ts';
import type { Example } from '../../training/batches.ts';
import type { JobContext } from '../job.ts';
import { taskRows } from '../task/task-batches.ts';

/** The first `count` rows in the order of the seed, as every stage is trained on them. */
export async function calibrationExamples(spec: JobSpec, context: JobContext, count: number): Promise<Example[]> {
  const { rows } = await taskRows(spec, context, (read) => {
    context.emit({ type: 'progress', done: 0, total: 1, unit: 'models', resumed: 0, note: `${read} rows read` });
  });
  try {
    const examples: Example[] = [];
    while (examples.length < Math.min(count, rows.lengths.length)) examples.push(await rows.read(examples.length));
    return examples;
  } finally {
    await rows.close();
  }
}
