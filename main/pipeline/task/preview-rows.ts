/** Rows of a data file as the model will see them: template applied, tokens counted, what is cut shown. */
import type { PreviewAnswer, PreviewRequest } from '../../contract/result-queries.ts';
import { openDataset } from '../../formats/datasets/index.ts';
import { compileTemplate, loadTokenizer } from '../../formats/tokenizers/index.ts';
import { readFolderConfiguration } from '../../models/model-folder.ts';
import { guessMapping } from './column-mapping.ts';
import { defaultAnswerTokens } from './task-data.ts';
import { defaultTemplate } from './task-rows.ts';

const sampleRows = 2000;

/** @throws TritsmithError for a file that can't be read, or a template that does not compile */
export async function previewRows({ settings, teacher, offset, count }: PreviewRequest): Promise<PreviewAnswer> {
  const dataset = await openDataset(settings.train);
  const sample = [];
  for await (const { values } of dataset.rows()) {
    sample.push(values);
    if (sample.length >= sampleRows) break;
  }
  const mapping = guessMapping(dataset.columns, sample, settings);
  const given = settings.template ?? '';
  const render = compileTemplate(given === '' ? defaultTemplate(mapping.textColumns) : given);
  const tokenizer = teacher === undefined ? null : await loadTokenizer(teacher);
  const context = teacher === undefined ? Infinity : (await readFolderConfiguration(teacher)).maxPositions;
  const maxLength = Math.min(settings.maxLength ?? 512, context);
  const reserved = mapping.kind === 'generation' ? (settings.maxNewTokens ?? defaultAnswerTokens(maxLength)) : 4;
  const room = Math.max(1, maxLength - reserved);
  const rows: PreviewAnswer['rows'] = [];
  let index = 0;
  for await (const { row, values } of dataset.rows()) {
    if (index++ < offset) continue;
    const prompt = render(values);
    const ids = tokenizer?.encode(prompt) ?? null;
    const head = Math.ceil(room / 2);
    const cut =
      tokenizer === null || ids === null || ids.length <= room
        ? null
        : tokenizer.decode(ids.slice(head, ids.length - (room - head)), { skipSpecialTokens: true });
    rows.push({ row, prompt, answer: values[mapping.labelColumn] ?? '', tokens: ids?.length ?? null, cut });
    if (rows.length >= count) break;
  }
  return { rows, maxLength: Number.isFinite(maxLength) ? maxLength : (settings.maxLength ?? 512) };
}
