/** Stage 3, distil (Eq. 8-14), and BitNet-SFT, the paper's baseline: the quantised base fine-tuned with cross-entropy alone. */
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import type { Distillation } from '../../training/training-step.ts';
import { teacherFolder } from '../../experiment/folder.ts';
import { engineOf } from '../engine.ts';
import type { JobContext } from '../job.ts';
import {
  baselineConfiguration,
  checkDistillation,
  keptLayers,
  pretrainSteps,
  relationLayers,
  stageSource,
  studentConfiguration,
  studentOptimiser,
} from '../models-of-recipe.ts';
import type { MoreRows } from '../task/task-batches.ts';
import { answeredRows } from './answered-rows.ts';
import { askedOnce, type Lesson, taughtBytes } from './ask-once.ts';
import { trainOnTask } from './task-stage.ts';

async function loadDistillation(
  spec: JobSpec,
  student: ModelConfiguration,
  lesson: Lesson,
  context: JobContext,
): Promise<Distillation> {
  const { recipe, folder } = spec;
  const { distil } = recipe;
  const path = teacherFolder(folder, recipe);
  const configuration = await modelConfiguration(path);
  checkDistillation(recipe, configuration, student);
  const [teacherLayer, studentLayer] = relationLayers(distil.layer, configuration.layers, student.layers);
  const tokens = lesson.rows.lengths.reduce((sum, length) => sum + length, 0);
  const once = taughtBytes(distil, configuration, { ...lesson, tokens }) !== null;
  const teacher = once
    ? await askedOnce(spec, configuration, teacherLayer, lesson, context)
    : await Network.create(configuration, await loadParameters(path, configuration), {
        ...(await engineOf(recipe, context)).options,
        mode: 'inference',
      });
  return { ...distil, hidden: distil.hidden ?? 0, teacher, teacherLayer, studentLayer };
}

/** Rows that the teacher answered; the baseline does not see them, but takes as many steps. */
async function moreRows(spec: JobSpec, context: JobContext, trained: boolean): Promise<MoreRows | undefined> {
  const rows = await answeredRows(spec, context);
  if (rows === null) return undefined;
  const count = rows.lengths.length;
  if (trained) return { rows, count };
  await rows.close();
  return { rows: null, count };
}

export async function distilStudent(spec: JobSpec, context: JobContext): Promise<JobResults['distil']> {
  const { recipe, folder } = spec;
  const { distil } = recipe;
  const configuration = await studentConfiguration(recipe, folder);
  const distils = distil.lambda > 0 || distil.gamma !== 0 || distil.hidden !== undefined;
  return trainOnTask(
    spec,
    {
      job: 'distil',
      configuration,
      source: stageSource(recipe, folder, 'distil'),
      result: 'student',
      training: { ...distil, optimiser: studentOptimiser(recipe, distil.optimiser) },
      anneal: distil.anneal,
      soften: distil.soften,
      moreRows: () => moreRows(spec, context, true),
      ...(distils ? { loadDistillation: (lesson) => loadDistillation(spec, configuration, lesson, context) } : {}),
    },
    context,
  );
}

/** Trains for as many steps as the student had in all its stages, so that the comparison is one of method, not of effort. */
export async function trainBaseline(spec: JobSpec, context: JobContext): Promise<JobResults['distil']> {
  const { recipe, folder } = spec;
  const source = recipe.studentBase ?? recipe.teacher;
  return trainOnTask(
    spec,
    {
      job: 'baseline',
      configuration: await baselineConfiguration(recipe, folder),
      source,
      keptLayers: keptLayers(recipe, await modelConfiguration(source), folder),
      result: 'baseline',
      training: recipe.distil,
      moreRows: () => moreRows(spec, context, false),
      moreSteps: recipe.pretrain ? pretrainSteps(recipe.pretrain) : 0,
    },
    context,
  );
}
