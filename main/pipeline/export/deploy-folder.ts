/** The folder that is handed over to those who use a student: its file, tokenizer, task, card, and examples for the programs that run it. */
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { companionFiles } from '../../contract/companion-files.ts';
import { type DeployedTask, deployedTaskFile } from '../../contract/deployed-task.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { DeployRequest, Deployed } from '../../contract/queries.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { copyCompanion } from '../../models/companion-files.ts';
import { modelCompanions, modelTokenizer } from '../../models/open-model.ts';
import type { LabelWords } from '../task/label-words.ts';
import { promptPieces } from '../task/prompt-pieces.ts';
import { readLabelWords } from '../task/task-data.ts';
import { deployTexts } from './deploy-texts.ts';

/**
 * Writes `request.into`, whole or not at all. The tokenizer is the file's own where it was pruned, else the teacher's.
 * @throws TritsmithError `bad-input` where something is there already, `not-found` where its parent is not, `no-space`; as `readLabelWords`
 */
export async function writeDeployFolder(request: DeployRequest): Promise<Deployed> {
  const { into, path, recipe, experiment, pruned, card, runsIn } = request;
  const parent = await stat(dirname(into)).catch(() => null);
  if (parent?.isDirectory() !== true)
    throw new TritsmithError('not-found', 'deploy.no-parent', { path: dirname(into) });
  if ((await readdir(into).catch(notThere)).length > 0)
    throw new TritsmithError('bad-input', 'deploy.not-empty', { path: into });
  const source = pruned ? path : recipe.teacher;
  const tokenizer = await modelTokenizer(source);
  const { task, seed } = recipe;
  const labels = task.kind === 'classification' ? await readLabelWords(task, tokenizer, seed, experiment) : null;
  const model = basename(path);
  const files: Record<string, string> = {
    [deployedTaskFile]: `${JSON.stringify(deployedTaskOf(request, labels), null, 2)}\n`,
    'model-card.md': card,
    ...deployTexts({ model, task, labels, runsIn, prompt: await promptPieces(task) }),
  };
  const temporary = `${into}.${String(process.pid)}.new`;
  try {
    await mkdir(temporary, { recursive: true });
    const companions = await modelCompanions(source);
    // The settings of generation say which tokens end an answer.
    for (const name of [...companionFiles, 'generation_config.json'])
      if (companions.names.has(name)) await copyCompanion(companions, temporary, name);
    for (const [name, text] of Object.entries(files)) await writeFileAtomically(join(temporary, name), text);
    await copyFile(path, join(temporary, model));
    await rm(into, { recursive: true, force: true });
    await rename(temporary, into);
  } catch (thrown) {
    await rm(temporary, { recursive: true, force: true });
    throw TritsmithError.from(thrown);
  }
  const names = await readdir(into);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(into, name))).size));
  return { folder: into, files: names.sort(), bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

function notThere(thrown: NodeJS.ErrnoException): never[] {
  if (thrown.code === 'ENOENT') return [];
  throw TritsmithError.from(thrown);
}

function deployedTaskOf({ path, recipe, temperature }: DeployRequest, labels: LabelWords | null): DeployedTask {
  const { name, kind, textColumns, template, maxLength, maxNewTokens } = recipe.task;
  return {
    format: 'tritsmith-task',
    version: 1,
    model: basename(path),
    task: { name, kind, textColumns, template, maxLength, maxNewTokens },
    ...(temperature === undefined ? {} : { temperature }),
    labels:
      labels?.classes.map((label, index) => ({
        label,
        words: labels.words[index]!,
        tokens: [...labels.ids[index]!],
      })) ?? null,
  };
}
