/** Rows of a data file as the model will see them: template applied, tokens counted, what is cut shown. */
import type { PreviewAnswer, PreviewRequest, PreviewSurvey } from '../../contract/result-queries.ts';
import { type Dataset, openDataset } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelConfiguration, modelTokenizer } from '../../models/open-model.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { promptTail, writtenAnswerTokens } from './answer-tokens.ts';
import { mostRows, sampleOf } from './check-task.ts';
import { type ColumnMapping, guessMapping } from './column-mapping.ts';
import { lostInTheMiddle } from './evaluation-rows.ts';
import { type LabelValues, labelValues } from './label-values.ts';
import { chooseLabelWords, type LabelWords, longestAnswer, mostClasses } from './label-words.ts';
import { fileState, mostValues } from './survey.ts';
import { defaultAnswerTokens } from './task-data.ts';
import { promptRenderer, usablePart } from './task-rows.ts';

type Render = (row: Readonly<Record<string, string>>) => Promise<string>;

/** Label values and prompt's end of a file, of its first million rows at most. */
async function surveyRows(
  dataset: Dataset,
  mapping: ColumnMapping,
  render: Render,
): Promise<Omit<PreviewSurvey, 'key'>> {
  const counts = new Map<string, number>();
  let tail: string | null = null;
  let rows = 0;
  for await (const { values } of dataset.rows()) {
    if ((rows += 1) > mostRows || counts.size > mostValues) break;
    const { answer, lacks } = usablePart(values, mapping);
    if (lacks !== null) continue;
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
    tail ??= promptTail(await render(values));
  }
  return { counts: [...counts], tail: tail ?? '' };
}

/** The label words that training would choose; null where it would refuse, which the check says. */
function labelWordsOf(
  tokenizer: Tokenizer,
  values: LabelValues,
  tail: string,
  settings: PreviewRequest['settings'],
): LabelWords | null {
  const classes = [...values.classes.keys()].sort();
  try {
    return classes.length > mostClasses ? null : chooseLabelWords(tokenizer, classes, settings, tail);
  } catch {
    return null;
  }
}

/**
 * Prompts are cut as training cuts them: so that the row's own answer still fits, or the longest label where it has none of them.
 * @param known what an earlier preview found out about the labels: the file is not read for it again if it is the same
 * @throws TritsmithError for a file that can't be read, or a template that does not compile
 */
export async function previewRows(
  { settings, teacher, offset, count }: PreviewRequest,
  known?: PreviewSurvey,
): Promise<{ answer: PreviewAnswer; survey: PreviewSurvey | null }> {
  const dataset = await openDataset(settings.train, settings.reading);
  const mapping = guessMapping(dataset, await sampleOf(dataset), settings);
  const render = await promptRenderer({ template: settings.template, textColumns: mapping.textColumns });
  const tokenizer = teacher === undefined ? null : await modelTokenizer(teacher);
  const context = teacher === undefined ? Infinity : (await modelConfiguration(teacher)).maxPositions;
  const maxLength = Math.min(settings.maxLength ?? 512, context);
  const maxNewTokens = settings.maxNewTokens ?? defaultAnswerTokens(maxLength);
  let survey: PreviewSurvey | null = null;
  if (tokenizer !== null && mapping.kind === 'classification') {
    const key = textSha256(
      JSON.stringify([mapping, settings.template, settings.train, settings.reading, await fileState(settings.train)]),
    );
    survey = known?.key === key ? known : { key, ...(await surveyRows(dataset, mapping, render)) };
  }
  const values = survey === null ? null : labelValues(new Map(survey.counts), settings);
  const labels =
    tokenizer === null || survey === null || values === null
      ? null
      : labelWordsOf(tokenizer, values, survey.tail, settings);
  const reserved = (prompt: string, answer: string): number => {
    if (tokenizer === null) return 0;
    if (mapping.kind === 'generation')
      return writtenAnswerTokens(tokenizer, promptTail(prompt), answer, maxNewTokens).length;
    return labels === null
      ? 1
      : (labels.ids[labels.classes.indexOf(values?.classOf(answer) ?? answer)]?.length ??
          longestAnswer(labels, maxNewTokens));
  };
  const answerOf = (row: Readonly<Record<string, string>>): string => {
    const value = row[mapping.labelColumn] ?? '';
    return values?.classOf(value) ?? value;
  };
  const rows: PreviewAnswer['rows'] = [];
  let index = 0;
  for await (const { row, values: cells } of dataset.rows()) {
    if (index++ < offset) continue;
    const prompt = await render(cells);
    const ids = tokenizer?.encode(prompt) ?? null;
    const room = Math.max(1, maxLength - reserved(prompt, usablePart(cells, mapping).answer));
    const lost = ids === null ? null : lostInTheMiddle(ids.length, room);
    const cut = lost === null ? null : tokenizer!.decode(ids!.slice(...lost), { skipSpecialTokens: true });
    rows.push({ row, prompt, answer: answerOf(cells), tokens: ids?.length ?? null, cut });
    if (rows.length >= count) break;
  }
  const answer = { rows, maxLength: Number.isFinite(maxLength) ? maxLength : (settings.maxLength ?? 512) };
  return { answer, survey };
}
