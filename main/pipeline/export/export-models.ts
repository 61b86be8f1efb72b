/** The export job: the student (and, to measure against, teacher and baseline) as GGUF files, read back and compared. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobSpec } from '../contract/jobs.ts';
import { writeFileAtomically } from '../formats/atomic-file.ts';
import { loadParameters, readFolderConfiguration } from '../models/model-folder.ts';
import { type ExportedFile, writeComparison } from './comparison.ts';
import { evaluatedModels } from './evaluate.ts';
import { describeArtifact } from './experiment-folder.ts';
import { exportGguf, type LinearType } from './export-gguf.ts';
import { type JobContext, JobStopped } from './job.ts';

/** File name of a model's export, such as `bitdistill-i2_s.gguf`. */
function fileName(model: string, type: LinearType): string {
  return `${model}-${type}.gguf`;
}

export async function exportModels(
  { recipe, folder }: JobSpec,
  context: JobContext,
): Promise<{ files: number; verified: boolean }> {
  const models = evaluatedModels(folder, recipe);
  const files: ExportedFile[] = [];
  await mkdir(join(folder, 'exports'), { recursive: true });
  for (const [index, { name, path }] of models.entries()) {
    const configuration = await readFolderConfiguration(path);
    const parameters = await loadParameters(path, configuration);
    const type: LinearType = configuration.ternary ? 'i2_s' : 'f16';
    const relative = join('exports', fileName(name, type));
    const written = await exportGguf(
      join(folder, relative),
      `${recipe.name} (${name})`,
      path,
      configuration,
      parameters,
      type,
      recipe.exports[0]?.embedding ?? 'f16',
      async (done, total) => {
        await new Promise((resolve) => setImmediate(resolve));
        const request = context.stopRequested();
        if (request) throw new JobStopped(request, 0);
        context.emit({
          type: 'progress',
          done: index * total + done,
          total: models.length * total,
          unit: 'tensors',
          resumed: 0,
          note: name,
        });
      },
    );
    for (const text of written.notes)
      context.emit({ type: 'log', level: 'warning', text: `${fileName(name, type)}: ${text}` });
    files.push({
      model: name,
      path: relative,
      type,
      verified: true,
      bodyBytes: written.bodyBytes,
      fileBytes: written.fileBytes,
    });
    context.emit({ type: 'artifact', artifact: await describeArtifact(folder, `export-${name}`, relative) });
  }
  await writeFileAtomically(join(folder, 'exports', 'exports.json'), `${JSON.stringify(files, null, 2)}\n`);
  await writeComparison(folder, recipe);
  return { files: files.length, verified: true };
}
