/** `generate`: what an exported model writes after a prompt, as it writes it. */
import { type Command, InvalidArgumentError } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import { generateRequest, type RuntimeMessage } from '../../../contract/helper-protocol.ts';
import type { TrainedModel } from '../../../contract/model-names.ts';
import { converse } from '../../../workbench/interface/helper-host.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { bytes, count } from '../quantities.ts';
import { cancellable, modelOption, runnableModel, runtimePort } from '../runnable-model.ts';
import { type CommonOptions, exitCodes, type Shell } from '../shell.ts';

interface GenerateOptions extends CommonOptions {
  readonly prompt: string;
  readonly model: TrainedModel;
  readonly tokenizer?: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
  readonly stop: string[];
  readonly seed: number;
  readonly threads?: number;
}

export function generateCommand(shell: Shell): Command {
  return newCommand(
    'generate',
    'write on after a prompt with an exported model; the prompt is given to it as it is. Ctrl-C stops after the current token',
    'generate student.gguf --tokenizer teacher --prompt "Once upon a time" --temperature 0.8 --seed 7',
  )
    .argument('<model>', 'a .gguf file, or an experiment: its id, the beginning of its id, or "latest"')
    .requiredOption('--prompt <text>', 'what the model goes on from')
    .addOption(modelOption())
    .option(
      '--tokenizer <folder>',
      "folder with tokenizer.json (default: the experiment's, the file's own folder, or what the file holds)",
    )
    .option('--max-tokens <number>', 'most tokens to write', wholeNumber(1), 128)
    .option('--temperature <number>', '0 always takes the likeliest token', numberFrom(0, 100), 0)
    .option('--top-k <number>', 'choose among the k likeliest tokens; 0: among all', wholeNumber(0), 0)
    .option('--top-p <number>', 'choose among the likeliest tokens that make up this probability', numberFrom(0, 1), 1)
    .option('--repetition-penalty <number>', 'above 1 makes recent tokens less likely', numberFrom(0.01, 100), 1)
    .option('--stop <text>', 'end before this text (may be given several times)', collect, [])
    .option('--seed <number>', 'the same seed writes the same text', wholeNumber(0), 1)
    .option('--threads <number>', 'threads (default: one less than the processor has)', wholeNumber(1))
    .action((reference: string, options: GenerateOptions) =>
      guarded(shell, options, () => generate(shell, reference, options)),
    );
}

async function generate(shell: Shell, reference: string, options: GenerateOptions): Promise<void> {
  const { path, tokenizer } = await runnableModel(shell, reference, options);
  const parsed = generateRequest.safeParse({ ...options, path, tokenizer });
  if (!parsed.success)
    throw new TritsmithError('bad-input', 'cli.generate-options', {
      problems: parsed.error.issues.map(({ path: where, message }) => `${where.join('.')}: ${message}`),
    });
  const request = parsed.data;
  await cancellable(shell, async (cancel, kill) => {
    let text = '';
    let answered: Extract<RuntimeMessage, { type: 'answered' }> | null = null;
    for await (const message of converse(runtimePort, { type: 'generate', request }, kill, cancel)) {
      if (message.type === 'answered') answered = message;
      if (message.type !== 'token') continue;
      text += message.text;
      if (options.json !== true) shell.out(message.text);
    }
    if (options.json !== true) shell.out('\n');
    if (answered === null || answered.reason === 'cancelled') shell.exitCode = exitCodes.cancelled;
    const reason = answered?.reason ?? 'cancelled';
    if (options.json === true) {
      const { promptTokens, answerTokens, prefillSeconds, decodeSeconds, residentBytes } = answered ?? {};
      printJson(shell, { text, reason, promptTokens, answerTokens, prefillSeconds, decodeSeconds, residentBytes });
    }
    if (answered !== null) shell.err(`${summary(answered, reason)}\n`);
  });
}

function summary(answered: Extract<RuntimeMessage, { type: 'answered' }>, reason: string): string {
  const { promptTokens, answerTokens, prefillSeconds, decodeSeconds, residentBytes } = answered;
  const speed = (tokens: number, seconds: number): string =>
    tokens > 0 && seconds > 0 ? ` at ${count(tokens / seconds)} tokens/s` : '';
  const ends = {
    stop: 'the text is complete',
    length: 'the limit of tokens is reached',
    context: "the model's context is full",
    cancelled: 'cancelled',
  };
  return (
    `prompt ${String(promptTokens)} tokens${speed(promptTokens, prefillSeconds)}, ` +
    `answer ${String(answerTokens)} tokens${speed(answerTokens - 1, decodeSeconds)}, ${bytes(residentBytes)}; ` +
    (ends as Record<string, string>)[reason]
  );
}

function collect(value: string, earlier: string[]): string[] {
  if (value === '') throw new InvalidArgumentError('It must not be empty.');
  return [...earlier, value];
}

function numberFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most))
      throw new InvalidArgumentError(`It must be a number from ${String(least)} to ${String(most)}.`);
    return value;
  };
}
