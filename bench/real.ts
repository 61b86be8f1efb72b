/**
 * `npm run bench -- real --models <folder> [--model smollm2|gemma270|qwen05] [--task sst2|qnli|mnli] [--rows N] [--seeds 1] [--preset quick] [--change field=value ...]
 * [--reconstruct] [--no-cut]
 * [--budget minutes] [--text-tokens N] [--workspace <folder>] [--threads N] [--no-page] [--json]`: real pretrained models through the product as a user runs
 * it: teacher, 4-bit teacher, BitNet-SFT, BitDistill and a student cut from the teacher. Finished runs are kept as experiments and not repeated: a run that
 * was ended, or that had a budget, goes on where it stopped.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { PresetName } from '../main/contract/queries.ts';
import type { Recipe } from '../main/contract/recipe.ts';
import { makeRecipe } from '../main/pipeline/inspect/presets.ts';
import { parseRecipe } from '../main/workbench/experiments/recipe-inputs.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';
import { sharedData } from '../main/testing/shared-data.ts';
import { cacheFolder } from './cache.ts';
import { isFinished } from './fidelity/runs.ts';
import { type TaskName, tasks } from './fidelity/tasks.ts';
import { realModels } from './real/models.ts';
import { type ModelReport, modelTables, writeModelSection } from './real/report.ts';
import { realRun, type RealRun } from './real/runs.ts';
import { changesOf, taskInputs } from './real/task-inputs.ts';
import { table } from './table.ts';

const options = {
  models: { type: 'string' },
  model: { type: 'string', default: Object.keys(realModels).join(',') },
  task: { type: 'string' },
  rows: { type: 'string', default: '10000' },
  seeds: { type: 'string', default: '1' },
  preset: { type: 'string', default: 'quick' },
  change: { type: 'string', multiple: true },
  reconstruct: { type: 'boolean', default: false },
  'no-cut': { type: 'boolean', default: false },
  budget: { type: 'string' },
  'text-tokens': { type: 'string', default: '32768' },
  workspace: { type: 'string' },
  threads: { type: 'string', default: '0' },
  'no-page': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const say = (text: string): void => void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${text}\n`);
  if (values.models === undefined) throw new Error('--models names the folder of the GGUF files.');
  const folder = resolve(values.models);
  const text = sharedData('corpus', 'wikitext2', 'valid.txt');
  const deadline = values.budget === undefined ? Infinity : performance.now() + Number(values.budget) * 60_000;
  const workspace = await openWorkspace({
    folder: values.workspace ?? join(cacheFolder(), 'real'),
    mode: 'write',
    purpose: 'bench real',
  });
  const changes = values.change ?? [];
  const settings = [`preset ${values.preset}`, ...(values.reconstruct ? ['reconstruct'] : []), ...changes].join(', ');
  const reports: ModelReport[] = [];
  let left = 0;
  try {
    const done = async (recipe: Recipe): Promise<RealRun | null> => {
      if (performance.now() > deadline && !isFinished(workspace, recipe)) {
        say(`left out, the budget is spent: ${recipe.name}`);
        left += 1;
        return null;
      }
      say(recipe.name);
      return realRun(workspace, { recipe, perplexityOf: { text, tokens: Number(values['text-tokens']) }, say });
    };
    for (const name of values.model.split(',')) {
      const model = realModels[name];
      if (model === undefined) throw new Error(`--model is one of ${Object.keys(realModels).join(', ')}.`);
      const teacher = join(folder, model.file);
      if (!existsSync(teacher)) throw new Error(`${model.title} is not there: ${teacher}.`);
      for (const taskName of values.task === undefined ? model.tasks : (values.task.split(',') as TaskName[])) {
        const task = tasks[taskName];
        const whole: RealRun[] = [];
        const cut: RealRun[] = [];
        for (const seed of values.seeds.split(',').map(Number)) {
          const recipe = parseRecipe(
            await makeRecipe({
              preset: values.preset as PresetName,
              name: `${taskName}, ${model.title}, ${values.rows} rows, ${settings}, seed ${seed}`,
              teacher,
              seed,
              task: taskInputs(taskName),
              exports: ['q2_0', 'i2_s', 'f16', 'q4_0'],
              reconstruct: values.reconstruct,
              changes: {
                'task.limit': Number(values.rows),
                threads: Number(values.threads),
                ...changesOf(changes),
              },
            }),
          );
          const main = await done(recipe);
          if (main === null) continue;
          whole.push(main);
          if (values['no-cut']) continue;
          const shorter = parseRecipe({
            ...recipe,
            name: `${recipe.name}, ${model.cutLayers} layers`,
            teacher: join(main.folder, 'teacher'),
            finetune: null,
            baseline: false,
            cut: { layers: model.cutLayers },
            exports: recipe.exports.filter(({ type }) => type === 'q2_0' || type === 'i2_s'),
          });
          const short = await done(shorter);
          if (short !== null) cut.push(short);
        }
        if (whole.length === 0) continue;
        const report: ModelReport = {
          name,
          title: model.title,
          taskName,
          task,
          rows: Number(values.rows),
          settings,
          cutLayers: model.cutLayers,
          textTokens: Number(values['text-tokens']),
          whole,
          cut,
        };
        reports.push(report);
        if (!values['no-page']) writeModelSection(report);
        if (!values.json)
          for (const [title, cells] of modelTables(report)) process.stdout.write(`${title}\n${table(cells)}\n\n`);
      }
    }
    if (values.json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
    if (left > 0) say(`${left} runs were left out; the same command goes on from here.`);
  } finally {
    workspace.close();
  }
}
