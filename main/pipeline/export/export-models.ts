/** The export job: the student, and teacher and baseline to measure against, as files that are proven before they get their names. */
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { tell, tellError, type Told } from '../../contract/messages/told.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { RunVerdict } from '../../contract/queries.ts';
import { type ExportSettings, type ExportType, type Recipe, runsInRuntime } from '../../contract/recipe.ts';
import type { ExportCheck, ExportedFile, FailedExport } from '../../contract/results.ts';
import { findLlamaCpp } from '../../llama-cpp/index.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { exportedPath, exportsFolder as folderOfExports } from '../../experiment/folder.ts';
import {
  readEvaluation,
  readExportList,
  readFailedExports,
  writeExportList,
  writeFailedExports,
} from '../../experiment/results.ts';
import { compareModels } from '../evaluate/comparison.ts';
import { describeArtifact } from '../../experiment/artifact.ts';
import { type JobContext, JobStopped, obeyStop } from '../job.ts';
import { openTask } from '../task/open-task.ts';
import type { PreparedTask } from '../task/task-data.ts';
import { prunedSubject, promptsOf, pruningOf, type Subject } from './export-subject.ts';
import {
  baseName,
  encodingOfTarget,
  exportTargets,
  ownTarget,
  settle,
  storedEmbedding,
  type Target,
  targetsFor,
} from './export-targets.ts';
import { writeHuggingFaceFolder } from './hugging-face-folder.ts';
import { modelCard } from './model-card.ts';
import { ggufVerdicts } from './run-verdicts.ts';
import { openTensorSource } from './tensor-source.ts';
import { writeVerifiedGguf } from './verified-gguf.ts';
import { writeVerifiedOnnx } from './verified-onnx.ts';

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

/** Bytes of a file, or of all files of a folder. */
async function sizeOf(path: string): Promise<number> {
  const status = await stat(path);
  if (!status.isDirectory()) return status.size;
  let bytes = 0;
  for (const name of await readdir(path)) bytes += (await stat(join(path, name))).size;
  return bytes;
}

interface Written {
  readonly architecture?: string;
  readonly bodyBytes: number;
  readonly zeroFraction?: number;
  readonly checks: readonly ExportCheck[];
  readonly notes: readonly Told[];
  readonly untried?: ExportedFile['untried'];
}

async function writeDraft(
  draft: string,
  target: Target,
  subject: Subject,
  recipe: Recipe,
  onProgress: (done: number, total: number) => Promise<void>,
): Promise<Written> {
  const { model, folder, settings } = target;
  const { configuration, tensors, tokenizerFolder, prompts, pruned } = subject;
  const name = `${recipe.name} (${model})`;
  if (settings.type === 'hf') {
    const replacedFiles = pruned ? await jsonFiles(tokenizerFolder) : {};
    const embedding = storedEmbedding(settings) === 'f32' ? 'F32' : 'F16';
    const card = modelCard({ name, recipe, configuration, evaluation: readEvaluation(target.experiment, model) });
    const source = { configuration, tensors, source: folder, replacedFiles, card };
    return { ...(await writeHuggingFaceFolder(draft, source, embedding, onProgress)), notes: [] };
  }
  if (settings.type === 'onnx') {
    const embedding = storedEmbedding(settings) === 'f32' ? 'F32' : 'F16';
    const options = { prompts, threads: recipe.threads, onProgress };
    return writeVerifiedOnnx(draft, configuration, tensors, embedding, options);
  }
  return writeVerifiedGguf(
    draft,
    { name, configuration, tensors, tokenizer: tokenizerFolder },
    encodingOfTarget(target)!,
    { prompts, threads: recipe.threads, llamaCpp: findLlamaCpp(), onProgress },
  );
}

/** The renumbered files of a pruned tokenizer's folder; config.json is made of the plan. */
async function jsonFiles(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  );
}

/** Endings of what is no GGUF file; a Hugging Face export is a folder. */
const endings: Partial<Record<ExportType, string>> = { hf: '', onnx: '.onnx' };

/** Which programs run a GGUF file. */
async function verdictsOn(path: string): Promise<RunVerdict[]> {
  const file = await openGguf(path);
  try {
    return ggufVerdicts(file);
  } finally {
    await file.close();
  }
}

async function exportTarget(
  target: Target,
  recipe: Recipe,
  exportsFolder: string,
  task: PreparedTask,
  onProgress: (done: number, total: number) => Promise<void>,
): Promise<ExportedFile> {
  const { model, folder, settings } = target;
  const configuration = await modelConfiguration(folder);
  const fileName = `${baseName(target)}${endings[settings.type] ?? '.gguf'}`;
  const draft = join(exportsFolder, `${draftPrefix}${fileName}`);
  const scratch = join(exportsFolder, `${draftPrefix}tokenizer`);
  const tensors = await openTensorSource(folder, configuration);
  try {
    const subject: Subject =
      settings.pruneVocabulary === true
        ? await prunedSubject(target, configuration, tensors, task, recipe, scratch, onProgress)
        : {
            configuration,
            tensors,
            tokenizerFolder: folder,
            prompts: promptsOf(task, configuration),
            pruned: null,
            checks: [],
          };
    const written = await writeDraft(draft, target, subject, recipe, onProgress);
    const fileBytes = await sizeOf(draft);
    const verdicts = endings[settings.type] === undefined ? await verdictsOn(draft) : null;
    await publish(draft, join(exportsFolder, fileName), exportsFolder);
    return {
      model,
      path: exportedPath(fileName),
      type: settings.type,
      embedding: storedEmbedding(settings),
      ...(written.architecture === undefined ? {} : { architecture: written.architecture }),
      verified: true,
      bodyBytes: written.bodyBytes,
      fileBytes,
      ...(written.zeroFraction === undefined ? {} : { zeroFraction: written.zeroFraction }),
      pruning: pruningOf(subject, configuration.vocabSize, settings),
      ...(verdicts === null ? {} : { verdicts }),
      checks: [...written.checks, ...subject.checks],
      notes: [...written.notes, ...embeddingNotes(settings), ...(target.own ? [tell('note.own-file')] : [])],
      ...(target.own ? { own: true } : {}),
      untried: written.untried ?? [],
      source: await sourceOf(folder),
    };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await tensors.close();
  }
}

/** What a user should know who asked for an embedding that the format has no place for. */
function embeddingNotes(settings: ExportSettings): Told[] {
  if (storedEmbedding(settings) === settings.embedding) return [];
  return [tell('note.embedding-as-f16', { asked: settings.embedding })];
}

/** Exports of earlier sessions that are still there and of the same weights. */
async function stillValid(
  folder: string,
  fresh: readonly ExportedFile[],
  targets: readonly Target[],
): Promise<ExportedFile[]> {
  const kept: ExportedFile[] = [];
  for (const file of readExportList(folder) ?? []) {
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

/** The file that an export's hash is taken of. */
function weightsOf({ path, type }: ExportedFile): string {
  return type === 'hf' ? join(path, 'model.safetensors') : path;
}

/**
 * Writes what the recipe asks for, or of it only `exports`; earlier files of the same weights stay listed. An export of the recipe that fails is written down
 * beside the others, and its model gets a file of our own to be measured with; one of `exports` fails the job.
 */
export async function exportModels(spec: JobSpec, context: JobContext): Promise<{ files: number; verified: boolean }> {
  const { recipe, folder, exports } = spec;
  const all = exportTargets(folder, recipe);
  const targets = exports === undefined ? all : exports.flatMap((settings) => targetsFor(folder, recipe, settings));
  const exportsFolder = folderOfExports(folder);
  await mkdir(exportsFolder, { recursive: true });
  for (const name of await readdir(exportsFolder))
    if (name.startsWith(draftPrefix)) await rm(join(exportsFolder, name), { recursive: true, force: true });
  const { task } = await openTask(spec, () => obeyStop(context));
  const files: ExportedFile[] = [];
  const failed: FailedExport[] = [];

  const write = async (asked: Target, index: number): Promise<void> => {
    const target = settle(asked, await modelConfiguration(asked.folder));
    const note = baseName(target);
    // Writers wrap what is thrown in them; a stop must come out as what it is.
    let stopped: JobStopped | null = null;
    const file = await exportTarget(target, recipe, exportsFolder, task, async (done, units) => {
      await new Promise((resolve) => setImmediate(resolve));
      const request = context.stopRequested();
      if (request) throw (stopped = new JobStopped(request, 0));
      const whole = 1000;
      context.emit({
        type: 'progress',
        done: index * whole + Math.round((done / Math.max(1, units)) * whole),
        total: targets.length * whole,
        unit: 'steps',
        resumed: 0,
        note,
      });
    }).catch((error: unknown) => {
      throw stopped ?? error;
    });
    for (const { text } of file.notes ?? []) context.emit({ type: 'log', level: 'warning', text: `${note}: ${text}` });
    for (const { text } of file.checks ?? []) context.emit({ type: 'log', level: 'info', text: `${note}: ${text}` });
    for (const { program, reason } of file.untried ?? [])
      context.emit({ type: 'log', level: 'info', text: `${note}: not tried in ${program}. ${reason}` });
    files.push(file);
    context.emit({ type: 'artifact', artifact: await describeArtifact(folder, `export-${note}`, weightsOf(file)) });
  };

  for (const [index, target] of targets.entries()) {
    const { model, settings } = target;
    try {
      await write(target, index);
    } catch (thrown) {
      if (thrown instanceof JobStopped || target.forMeasuring || exports !== undefined) throw thrown;
      const problem = tellError(TritsmithError.from(thrown));
      failed.push({ model, type: settings.type, embedding: settings.embedding, problem });
      context.emit({ type: 'log', level: 'warning', text: `${baseName(target)}: not written. ${problem.text}` });
    }
    const last = targets[index + 1]?.model !== model;
    if (
      last &&
      failed.some((each) => each.model === model) &&
      !files.some((file) => file.model === model && runsInRuntime(file))
    )
      await write(ownTarget(target), index);
  }

  const listed = [...files, ...(await stillValid(folder, files, all))].sort(
    (a, b) => Number(runsInRuntime(b)) - Number(runsInRuntime(a)),
  );
  await writeExportList(folder, listed);
  const before = exports === undefined ? [] : readFailedExports(folder);
  await writeFailedExports(folder, [
    ...failed,
    ...before.filter((each) => !files.some((file) => sameExport(file, each))),
  ]);
  await compareModels(folder, recipe);
  return { files: listed.length, verified: failed.length === 0 };
}

function sameExport(file: ExportedFile, { model, type, embedding }: FailedExport): boolean {
  return file.model === model && file.type === type && (file.embedding ?? 'f16') === embedding;
}
