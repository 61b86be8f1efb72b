/** Stage 2, pretrain: next-token cross-entropy on a general corpus with the quantised student (Eq. 7). */
import type { JobSpec } from '../../contract/jobs.ts';
import { corpusBatches, corpusNotes, tokeniseCorpus } from './corpus-tokens.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { cachedTokens } from '../../experiment/folder.ts';
import { rootFirst } from '../../training/collective.ts';
import { collectiveOf, type JobContext, obeyStop } from '../job.ts';
import { pretrainSteps, recipeTokenizer, stageSource, earlierStudent, studentOptimiser } from '../models-of-recipe.ts';
import { trainStage } from './stage-training.ts';

export async function pretrainStudent(
  { recipe, folder }: JobSpec,
  context: JobContext,
): Promise<{ steps: number; tokens: number }> {
  const { pretrain } = recipe;
  if (!pretrain) return { steps: 0, tokens: 0 };
  const tokenizer = await recipeTokenizer(recipe);
  const totalSteps = pretrainSteps(pretrain);
  const wanted = totalSteps * pretrain.sequenceLength * pretrain.optimiser.batchSize;
  const file = await rootFirst(collectiveOf(context), () =>
    tokeniseCorpus(
      pretrain.corpus,
      tokenizer,
      cachedTokens(folder, 'corpus'),
      wanted,
      textSha256(JSON.stringify([pretrain.corpus, wanted, tokenizer.sha256])),
      async (tokens) => {
        await obeyStop(context);
        context.emit({
          type: 'progress',
          done: 0,
          total: totalSteps,
          unit: 'steps',
          resumed: 0,
          note: `${tokens} tokens read`,
        });
      },
    ),
  );
  const batches = corpusBatches(file, { ...pretrain.optimiser, ...pretrain, seed: recipe.seed });
  for (const text of corpusNotes(file)) context.emit({ type: 'log', level: 'warning', text });
  if (file.tokens < wanted)
    context.emit({
      type: 'log',
      level: 'info',
      text: `The corpus has ${file.tokens} tokens; it is read ${(wanted / file.tokens).toFixed(1)} times.`,
    });
  const configuration = await earlierStudent(recipe, folder);
  try {
    const { computedOn } = await trainStage(
      {
        job: 'pretrain',
        folder,
        recipe,
        configuration,
        source: stageSource(recipe, folder, 'pretrain'),
        result: 'pretrained',
        batches,
        optimiser: studentOptimiser(recipe, pretrain.optimiser),
        totalSteps,
        soften: pretrain.soften,
      },
      context,
    );
    return { steps: totalSteps, tokens: wanted, ...(computedOn && { computedOn }) };
  } finally {
    await batches.close();
  }
}
