/** How a measured model is called: the model, its type where that is not the usual one, and the program that runs it. */
import { type ComparedModel, fourBitModel, type TrainedModel } from '../../main/contract/model-names.ts';
import { texts } from '../texts.ts';

interface Subject {
  readonly model: TrainedModel;
  readonly engine: 'tritsmith' | 'llama.cpp';
  readonly type?: string | undefined;
}

export function subjectName({ model, engine, type }: Subject): string {
  if (engine === 'tritsmith') return texts.benchmarks.subject(texts.models[model], null, texts.product);
  return texts.benchmarks.subject(texts.models[model], (type ?? '').toUpperCase(), 'llama.cpp');
}

/** Under which colour it is drawn. */
export function colourOf({ model, engine, type }: Subject): ComparedModel {
  return engine === 'llama.cpp' && type === 'q4_0' ? fourBitModel : model;
}
