/** Every message in English, by id. Each file holds those of some rooms; ids begin with what they speak of. */
import { chats } from './en/chats.ts';
import { commandLine } from './en/command-line.ts';
import { components } from './en/components.ts';
import { corpora } from './en/corpora.ts';
import { datasets } from './en/datasets.ts';
import { engine } from './en/engine.ts';
import { estimates } from './en/estimates.ts';
import { exports } from './en/exports.ts';
import { gpu } from './en/gpu.ts';
import { hub } from './en/hub.ts';
import { labelsAndSplits } from './en/labels-and-splits.ts';
import { llamaCpp } from './en/llama-cpp.ts';
import { modelFiles } from './en/model-files.ts';
import { newRows } from './en/new-rows.ts';
import { pipeline } from './en/pipeline.ts';
import { proofs } from './en/proofs.ts';
import { ranks } from './en/ranks.ts';
import { remote } from './en/remote.ts';
import { serving } from './en/serving.ts';
import { system } from './en/system.ts';
import { tokenizers } from './en/tokenizers.ts';
import { verdicts } from './en/verdicts.ts';
import { workbench } from './en/workbench.ts';
import { workers } from './en/workers.ts';

export const en = {
  ...system,
  ...datasets,
  ...chats,
  ...corpora,
  ...modelFiles,
  ...tokenizers,
  ...engine,
  ...pipeline,
  ...labelsAndSplits,
  ...exports,
  ...proofs,
  ...estimates,
  ...verdicts,
  ...components,
  ...llamaCpp,
  ...gpu,
  ...hub,
  ...workers,
  ...ranks,
  ...remote,
  ...serving,
  ...newRows,
  ...workbench,
  ...commandLine,
};
