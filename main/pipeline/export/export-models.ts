/** The export job: the student, and teacher and baseline to measure against, as files that are proven before they get their names. */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobSpec } from '../../contract/jobs.ts';
import type { ExportSettings, ExportType, Recipe } from '../../contract/recipe.ts';
import type { ExportedFile } from '../../contract/results.ts';
import { writeFileAtomically } from '../../formats/atomic-file.ts';
import { readFolderConfiguration } from '../../models/model-folder.ts';
import { readExports, writeComparison } from '../comparison.ts';
import { evaluatedModels } from '../evaluate.ts';
import { describeArtifact } from '../experiment-folder.ts';
import { type JobContext, JobStopped } from '../job.ts';
import { recipeTokenizer } from '../models-of-recipe.ts';
import { prepareTask } from '../task-data.ts';
import type { GgufEncoding } from './gguf-encoding.ts';
import { openTensorSource } from './tensor-source.ts';
import { writeVerifiedGguf } from './verified-gguf.ts';

type ModelName = ExportedFile['model'];
type GgufType = Exclude<ExportType, 'hf' | 'onnx'>;

/** Prompts that each export is checked on. */
const checkedPrompts = 64;

const linearTypes: Record<GgufType, GgufEncoding['linear']> = {
  i2_s: 'I2_S',
  tq2_0: 'TQ2_0',
  tq1_0: 'TQ1_0',
  f16: 'F16',
  q8_0: 'Q8_0',
  q4_0: 'Q4_0',
};

function encodingOf(type: GgufType, { embedding }: ExportSettings): GgufEncoding {
  return { linear: linearTypes[type], embedding: embedding.toUpperCase() as GgufEncoding['embedding'] };
}

interface Target {
  readonly model: ModelName;
  readonly folder: string;
  readonly settings: ExportSettings;
}

/** Whether the native runtime executes it, so that it can be measured. */
function measurable({ type }: { readonly type: string }): boolean {
  return ['i2_s', 'tq2_0', 'f16', 'q8_0'].includes(type);
}

const teacherTypes: readonly ExportType[] = ['f16', 'q8_0', 'q4_0'];

/**
 * What to write: what the recipe asks for, the student first; and where nothing of a model would run in our runtime, the file that it
 * is measured with (I2_S, or F16 of the teacher).
 */
export function exportTargets(folder: string, recipe: Recipe): Target[] {
  const embedding = recipe.exports[0]?.embedding ?? 'f16';
  return evaluatedModels(folder, recipe)
    .reverse()
    .flatMap(({ name, path }): Target[] => {
      const ofTeacher = name === 'teacher';
      const wanted =
        name === 'bitnet-sft' ? [] : recipe.exports.filter(({ type }) => teacherTypes.includes(type) === ofTeacher);
      const own: ExportSettings = ofTeacher ? { type: 'f16', embedding: 'f16' } : { type: 'i2_s', embedding };
      return [...(wanted.some(measurable) ? [] : [own]), ...wanted].map((settings) => ({
        model: name,
        folder: path,
        settings,
      }));
    });
}

/** Name of an export without its ending, such as `bitdistill-tq2_0-q6_k-pruned`. */
function baseName({ model, settings: { type, embedding, pruneVocabulary } }: Target): string {
  return [
    model,
    type,
    ...(embedding === 'f16' ? [] : [embedding]),
    ...(pruneVocabulary === true ? ['pruned'] : []),
  ].join('-');
}

async function sourceOf(folder: string): Promise<string> {
  const { size, mtimeMs } = await stat(join(folder, 'model.safetensors')).catch(() => stat(folder));
  return `${size}-${mtimeMs}`;
}

/** Renames a finished draft and makes the rename durable. */
async function publish(draft: string, target: string, folder: string): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await rename(draft, target);
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

const draftPrefix = '.draft-';

/** Prompts of held-out rows, spread over all of them. */
async function promptsOf(recipe: Recipe): Promise<Int32Array[]> {
  const tokenizer = await recipeTokenizer(recipe, await readFolderConfiguration(recipe.teacher));
  const { dev } = await prepareTask(recipe.task, tokenizer, recipe.seed);
  const count = Math.min(checkedPrompts, dev.length);
  return Array.from({ length: count }, (_, index) => dev[Math.floor((index * dev.length) / count)]!.prompt);
}

async function exportTarget(
  target: Target,
  recipe: Recipe,
  exportsFolder: string,
  prompts: readonly Int32Array[],
  onProgress: (done: number, total: number) => Promise<void>,
): Promise<ExportedFile> {
  const { model, folder, settings } = target;
  const configuration = await readFolderConfiguration(folder);
  const fileName = `${baseName(target)}.gguf`;
  const draft = join(exportsFolder, `${draftPrefix}${fileName}`);
  const tensors = await openTensorSource(folder, configuration);
  try {
    const written = await writeVerifiedGguf(
      draft,
      { name: `${recipe.name} (${model})`, configuration, tensors, tokenizer: folder },
      encodingOf(settings.type as GgufType, settings),
      { prompts, threads: recipe.threads, onProgress },
    );
    await publish(draft, join(exportsFolder, fileName), exportsFolder);
    return {
      model,
      path: join('exports', fileName),
      type: settings.type,
      embedding: settings.embedding,
      verified: true,
      source: await sourceOf(folder),
      ...written,
      checks: [...written.checks],
      notes: [...written.notes],
    };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  } finally {
    await tensors.close();
  }
}

/** Exports of earlier sessions that are still there and of the same weights. */
async function stillValid(
  folder: string,
  fresh: readonly ExportedFile[],
  targets: readonly Target[],
): Promise<ExportedFile[]> {
  const kept: ExportedFile[] = [];
  for (const file of (await readExports(folder)) ?? []) {
    const source = targets.find(({ model }) => model === file.model)?.folder;
    if (source === undefined || fresh.some(({ path }) => path === file.path)) continue;
    const present = await stat(join(folder, file.path)).then(
      () => true,
      () => false,
    );
    if (present && file.source === (await sourceOf(source))) kept.push(file);
  }
  return kept;
}

export async function exportModels(
  { recipe, folder }: JobSpec,
  context: JobContext,
): Promise<{ files: number; verified: boolean }> {
  const targets = exportTargets(folder, recipe);
  const exportsFolder = join(folder, 'exports');
  await mkdir(exportsFolder, { recursive: true });
  for (const name of await readdir(exportsFolder))
    if (name.startsWith(draftPrefix)) await rm(join(exportsFolder, name), { recursive: true, force: true });
  const prompts = await promptsOf(recipe);
  let files: ExportedFile[] = [];
  for (const [index, target] of targets.entries()) {
    const note = baseName(target);
    const file = await exportTarget(target, recipe, exportsFolder, prompts, async (done, total) => {
      await new Promise((resolve) => setImmediate(resolve));
      const request = context.stopRequested();
      if (request) throw new JobStopped(request, 0);
      const whole = 1000;
      context.emit({
        type: 'progress',
        done: index * whole + Math.round((done / Math.max(1, total)) * whole),
        total: targets.length * whole,
        unit: 'steps',
        resumed: 0,
        note,
      });
    });
    for (const text of file.notes ?? []) context.emit({ type: 'log', level: 'warning', text: `${note}: ${text}` });
    for (const { text } of file.checks ?? []) context.emit({ type: 'log', level: 'info', text: `${note}: ${text}` });
    files.push(file);
    context.emit({ type: 'artifact', artifact: await describeArtifact(folder, `export-${note}`, file.path) });
  }
  files = [...files, ...(await stillValid(folder, files, targets))].sort(
    (a, b) => Number(measurable(b)) - Number(measurable(a)),
  );
  await writeFileAtomically(join(exportsFolder, 'exports.json'), `${JSON.stringify(files, null, 2)}\n`);
  await writeComparison(folder, recipe);
  return { files: files.length, verified: true };
}
