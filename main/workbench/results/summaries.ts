/** The rows of the experiments table. What stands in files is read again only when a file has changed, so that a thousand rows cost no more than a look at each. */
import { statSync } from 'node:fs';
import { lastPart } from '../../contract/local-path.ts';
import type { ComparisonRow } from '../../contract/results.ts';
import type { ExperimentSummary } from '../../contract/views.ts';
import { studentModel } from '../../contract/model-names.ts';
import { readAnnotations } from '../../experiment/annotations.ts';
import { annotationsPath, comparisonPath } from '../../experiment/folder.ts';
import { readStoredComparison } from '../../experiment/results.ts';
import type { ExperimentQueue } from '../experiments/experiment-queue.ts';
import type { Workspace } from '../workspace/workspace.ts';

type FromFiles = Pick<ExperimentSummary, 'scores' | 'studentFileBytes' | 'tags' | 'notes'> & { removed: boolean };

export class Summaries {
  readonly #workspace: Workspace;
  readonly #queue: ExperimentQueue;
  readonly #read = new Map<string, { stamp: string; found: FromFiles }>();

  constructor(workspace: Workspace, queue: ExperimentQueue) {
    this.#workspace = workspace;
    this.#queue = queue;
  }

  /** Reads the files of all experiments a few at a time beside other work, so that the first table is as quick as the next. */
  async warm(): Promise<void> {
    for (const [index, id] of this.#workspace.experiments.ids().entries()) {
      this.#fromFiles(id);
      if (index % 20 === 19) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Newest first, without those that were removed. */
  all(): ExperimentSummary[] {
    return this.#workspace.experiments.overview().flatMap((row) => {
      const { removed, ...found } = this.#fromFiles(row.id);
      if (removed) return [];
      const place = this.#queue.waiting.indexOf(row.id);
      // One that could not be written down when it failed still says `running`.
      const state = row.state === 'running' && this.#queue.running !== row.id ? 'failed' : row.state;
      return [{ ...row, state, teacher: lastPart(row.teacher), queuePosition: place < 0 ? null : place, ...found }];
    });
  }

  #fromFiles(id: string): FromFiles {
    const folder = this.#workspace.experimentFolder(id);
    const stamp = [annotationsPath(folder), comparisonPath(folder)].map(stampOf).join();
    const known = this.#read.get(id);
    if (known?.stamp === stamp) return known.found;
    const { tags, notes, removed } = readAnnotations(folder);
    const rows = rowsOf(folder);
    const found = {
      scores: rows.map(({ name, accuracy }) => ({ name, value: accuracy })),
      studentFileBytes: rows.find(({ name }) => name === studentModel)?.fileBytes ?? null,
      tags,
      notes,
      removed,
    };
    this.#read.set(id, { stamp, found });
    return found;
  }
}

/** Results that cannot be read are told on the experiment's own page; the table goes on without them. */
function rowsOf(folder: string): ComparisonRow[] {
  try {
    return readStoredComparison(folder)?.rows ?? [];
  } catch {
    return [];
  }
}

/** Changes whenever the file is replaced. */
function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? '' : `${String(found.mtimeMs)}-${String(found.ino)}-${String(found.size)}`;
}
