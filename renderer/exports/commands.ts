/** The exact command that runs an exported file in each program that can run it. */
import type { TaskSettings } from '../../main/contract/recipe.ts';
import type { ExportedModel } from '../../main/contract/views.ts';
import { studentModel } from '../../main/contract/model-names.ts';

export interface RunCommand {
  readonly program: 'Tritsmith' | 'bitnet.cpp' | 'llama.cpp' | 'transformers';
  readonly text: string;
}

/** As one argument of a POSIX shell, or of a Windows one. */
export function quoted(text: string, windows: boolean): string {
  return windows ? `"${text.replaceAll('"', '\\"')}"` : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The prompt as the model knows it, with the columns in angle brackets; \n stands for a line break, as llama.cpp reads it. */
export function examplePrompt({ template, textColumns }: TaskSettings): string {
  const text =
    template === ''
      ? textColumns.map((column) => `<${column}>\n`).join('')
      : template.replaceAll(
          /\{\{\s*(?:row\[\s*["']([^"']+)["']\s*\]|([\p{L}_][\p{L}\d_.]*))[^}]*\}\}/gu,
          (_, a, b) => `<${String(a ?? b)}>`,
        );
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** A class is a word or two; a written answer has the task's own limit. */
function answerLength({ kind, maxNewTokens }: TaskSettings): number {
  return kind === 'classification' ? 8 : maxNewTokens;
}

export interface Runnable extends Pick<
  ExportedModel,
  'path' | 'type' | 'verdicts' | 'pruning' | 'model' | 'preferred'
> {
  readonly experiment: string;
  readonly teacher: string;
}

/** What is typed for our command line. `program`: its path; null where npm starts it. */
export function commandOf(program: string | null, windows: boolean): string {
  return program === null ? 'npm run tritsmith --' : quoted(program, windows);
}

/** Tritsmith writes texts with any file, and scores labels with the one that it prefers of a model. */
function ownCommand(
  file: Runnable,
  task: TaskSettings,
  windows: boolean,
  program: string | null,
  workspace: string | null,
): string | null {
  const tritsmith = commandOf(program, windows);
  if (task.kind === 'generation') {
    const tokenizer = file.pruning == null ? ` --tokenizer ${quoted(file.teacher, windows)}` : '';
    const prompt = quoted(examplePrompt(task).replaceAll('\\n', '\n'), windows);
    return `${tritsmith} generate ${quoted(file.path, windows)}${tokenizer} --prompt ${prompt} --max-tokens ${String(task.maxNewTokens)}`;
  }
  if (!file.preferred) return null;
  const texts = task.textColumns.map((column) => `--text ${quoted(`<${column}>`, windows)}`).join(' ');
  const model = file.model === studentModel ? '' : ` --model ${file.model}`;
  const where = workspace === null ? '' : ` --workspace ${quoted(workspace, windows)}`;
  return `${tritsmith} classify ${file.experiment}${model} ${texts}${where}`;
}

/**
 * One command for each program that runs the file, ours first; empty where none is known (ONNX). `program`: path of our command line; null where npm
 * starts it. `workspace`: null for the one where it looks by itself.
 */
export function runCommands(
  file: Runnable,
  task: TaskSettings,
  windows: boolean,
  program: string | null = null,
  workspace: string | null = null,
): RunCommand[] {
  const path = quoted(file.path, windows);
  const prompt = examplePrompt(task);
  const length = String(answerLength(task));
  if (file.type === 'hf') {
    const python = `from transformers import pipeline; print(pipeline("text-generation", ${JSON.stringify(file.path)})("${prompt.replaceAll('"', '\\"')}", max_new_tokens=${length}, do_sample=False))`;
    return [{ program: 'transformers', text: `python -c ${quoted(python, windows)}` }];
  }
  const runs = (program: RunCommand['program']): boolean =>
    file.verdicts?.some((verdict) => verdict.program === program && verdict.runs) ?? false;
  const own = runs('Tritsmith') ? ownCommand(file, task, windows, program, workspace) : null;
  // A text as it is, not as a message of a chat.
  const completion = `-m ${path} -no-cnv -p ${quoted(prompt, windows)} -n ${length} --temp 0`;
  const built = windows ? 'build\\bin\\Release\\llama-completion' : 'build/bin/llama-completion';
  return [
    ...(own === null ? [] : [{ program: 'Tritsmith' as const, text: own }]),
    ...(runs('bitnet.cpp') ? [{ program: 'bitnet.cpp' as const, text: `${built} ${completion}` }] : []),
    ...(runs('llama.cpp') ? [{ program: 'llama.cpp' as const, text: `llama-completion ${completion}` }] : []),
  ];
}
