/** What a benchmark asks the product's presets for: a task of the shared data, and changes of single fields. */
import type { PresetInputs } from '../../main/contract/queries.ts';
import { sharedData } from '../../main/testing/shared-data.ts';
import { type TaskName, tasks } from '../fidelity/tasks.ts';

export function taskInputs(taskName: TaskName): PresetInputs['task'] {
  const task = tasks[taskName];
  return {
    name: taskName,
    kind: task.kind,
    train: sharedData('tasks', task.folder, task.train),
    ...(task.dev === undefined ? {} : { dev: sharedData('tasks', task.folder, task.dev) }),
    textColumns: [...task.textColumns],
    labelColumn: task.labelColumn,
    maxLength: task.maxLength,
  };
}

type Value = string | number | boolean;

/** `path=value` of fields of the recipe; a value is a number, `true` or `false` where it is one. */
export function changesOf(texts: readonly string[]): Record<string, Value> {
  return Object.fromEntries(
    texts.map((text): [string, Value] => {
      const at = text.indexOf('=');
      const [path, value] = [text.slice(0, at), text.slice(at + 1)];
      if (value === 'true' || value === 'false') return [path, value === 'true'];
      return [path, value !== '' && Number.isFinite(Number(value)) ? Number(value) : value];
    }),
  );
}
