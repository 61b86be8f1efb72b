/** What a person does among many experiments: how long from the action to the picture that shows its effect, and the page's processor time for it. */
import { serve, visit } from '../e2e/harness.ts';
import { fillWorkspace } from './load/full-workspace.ts';

export interface TimedAction {
  readonly action: string;
  /** The middle ones of `ROUNDS`: by the clock, and the processor time of the page's main thread, which other programs disturb less. */
  readonly milliseconds: number;
  readonly processorMilliseconds: number;
}

const roundCount = 5;
const rows = `document.querySelectorAll('[data-testid=experiments] tbody tr')`;
const type = (text: string): string => `{
  const field = document.querySelector('main input[type=search]');
  field.value = ${JSON.stringify(text)};
  field.dispatchEvent(new Event('input', { bubbles: true }));
}`;
const press = (selector: string): string => `document.querySelector(${JSON.stringify(selector)}).click()`;

/** `before` leads to where the action is done and is not timed; `shown` says that its effect is on the page. */
const actions: readonly { action: string; before: string; there: string; act: string; shown: string }[] = [
  {
    action: 'open the table',
    before: press('nav a[href="/"]'),
    there: `${rows}.length === 0`,
    act: press('nav a[href="/experiments"]'),
    shown: `${rows}.length === 50`,
  },
  {
    action: 'search',
    before: type(''),
    there: `${rows}.length === 50`,
    act: type('load 77'),
    shown: `${rows}.length < 50`,
  },
  {
    action: 'show all again',
    before: type('load 77'),
    there: `${rows}.length < 50`,
    act: type(''),
    shown: `${rows}.length === 50`,
  },
  {
    action: 'sort',
    before: press('.of-created .sort'),
    there: `document.querySelector('.of-created').ariaSort !== null`,
    act: press('.of-name .sort'),
    shown: `document.querySelector('.of-name').ariaSort !== null`,
  },
  {
    action: 'choose one',
    before: `document.querySelectorAll('main input:checked').forEach((box) => box.click())`,
    there: `document.querySelector('tr.picked') === null`,
    act: press('[data-testid=experiments] tbody input'),
    shown: `document.querySelector('tr.picked') !== null`,
  },
  {
    action: 'open an experiment',
    before: press('nav a[href="/experiments"]'),
    there: `${rows}.length === 50`,
    act: press('[data-testid=experiments] tbody th a'),
    shown: `document.querySelector('.stages, [data-testid=fraction]') !== null`,
  },
];

/** Fills a workspace in `folder` with `experiments` and does all of the above in it. */
export async function measureActions(folder: string, experiments: number): Promise<TimedAction[]> {
  await fillWorkspace(folder, { experiments, points: 100_000 }, () => undefined);
  const workbench = await serve(folder);
  const { page, context, close } = await visit(workbench.link);
  const debug = await context.newCDPSession(page);
  await debug.send('Performance.enable', { timeDomain: 'threadTicks' });
  const processor = async (): Promise<number> => {
    const { metrics } = await debug.send('Performance.getMetrics');
    return (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? NaN) * 1000;
  };
  const middle = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const timed: TimedAction[] = [];
  try {
    for (const { action, before, there, act, shown } of actions) {
      const times: number[] = [];
      const processorTimes: number[] = [];
      for (let round = 0; round < roundCount; round += 1) {
        await page.evaluate(before);
        await page.waitForFunction(there);
        const used = await processor();
        times.push(
          await page.evaluate<number>(`new Promise((resolve) => {
            const began = performance.now();
            ${act};
            const look = () => {
              if (${shown}) setTimeout(() => resolve(performance.now() - began));
              else requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
          })`),
        );
        processorTimes.push((await processor()) - used);
      }
      timed.push({ action, milliseconds: middle(times), processorMilliseconds: middle(processorTimes) });
    }
  } finally {
    await close();
    await workbench.kill();
  }
  return timed;
}
