/** Real pretrained models that can be had without a model hub (GGUF files of 98 to 491 MB, fetched beside the repository), and what is run of each. */
import type { TaskName } from '../fidelity/tasks.ts';

export interface RealModel {
  readonly title: string;
  /** In the folder of the models. */
  readonly file: string;
  readonly tasks: readonly TaskName[];
  /** Layers of the student that is cut from the teacher. */
  readonly cutLayers: number;
}

export const realModels: Readonly<Record<string, RealModel>> = {
  smollm2: { title: 'SmolLM2-135M-Instruct', file: 'smollm2.gguf', tasks: ['sst2', 'qnli', 'mnli'], cutLayers: 20 },
  gemma270: { title: 'Gemma 3 270M', file: 'gemma270.gguf', tasks: ['sst2'], cutLayers: 12 },
  qwen05: { title: 'Qwen2.5-Coder-0.5B-Instruct', file: 'qwen05.gguf', tasks: ['sst2'], cutLayers: 16 },
};
