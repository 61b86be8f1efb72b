/**
 * `npm run bench -- interface [--seconds N] [--experiments N] [--json]`: first paint, longest task and waiting input while a run streams, and
 * what a person does among many experiments until the next picture, in the browser of the tests.
 */
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { remove, serve, temporaryFolder, visit } from '../e2e/harness.ts';
import { makeLongRun, measureInterface } from '../e2e/interface-speed.ts';
import { measureActions } from './interface-actions.ts';
import { loadNote, table } from './table.ts';

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '20' },
      experiments: { type: 'string', default: '1000' },
      json: { type: 'boolean', default: false },
    },
  });
  const folder = temporaryFolder();
  try {
    const id = await makeLongRun(join(folder, 'workspace'));
    const workbench = await serve(join(folder, 'workspace'));
    const visitor = await visit(workbench.link);
    const browser = visitor.context.browser()!;
    const milliseconds = Number(values.seconds) * 1000;
    const found = await measureInterface(browser, visitor.page, workbench.origin, id, milliseconds);
    await visitor.close();
    await workbench.kill();
    const actions = await measureActions(join(folder, 'full'), Number(values.experiments));
    if (values.json) {
      process.stdout.write(`${JSON.stringify({ ...found, actions, load: loadavg()[0] }, null, 2)}\n`);
      return;
    }
    const milli = (value: number | undefined): string => `${(value ?? NaN).toFixed(1)} ms`;
    process.stdout.write(
      `${table([
        ['', 'value'],
        ['first paint, warm', milli(found.firstPaintMilliseconds)],
        ['longest task, processor', milli(found.tasks.processor[0])],
        ['longest task, clock', milli(found.tasks.clock[0])],
        ['longest wait of a click', milli(found.inputDelays[0])],
        ['steps streamed meanwhile', String(found.steps)],
        ['script of the first page', `${(found.firstPageBytes / 1000).toFixed(0)} kB`],
        ['script of all pages', `${(found.allPagesBytes / 1000).toFixed(0)} kB`],
        ...actions.map(
          ({ action, milliseconds, processorMilliseconds }) =>
            [
              `${values.experiments} experiments: ${action}`,
              `${milli(milliseconds)}, ${milli(processorMilliseconds)} of processor`,
            ] as const,
        ),
      ])}\n${loadNote(loadavg()[0]!, cpus().length, 1)}\n`,
    );
  } finally {
    remove(folder);
  }
}
