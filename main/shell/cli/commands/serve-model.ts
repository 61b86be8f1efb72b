/** `serve-model`: an exported model for programs on this machine, with the OpenAI interface. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { TritsmithError } from '../../../contract/errors.ts';
import type { TrainedModel } from '../../../contract/model-names.ts';
import { bytesInWords } from '../../../contract/quantities.ts';
import { scoreTemperature } from '../../../experiment/results.ts';
import { servingPort } from '../../../jobs/serving-port.ts';
import { newToken, startModelServer } from '../../../serving/model-server.ts';
import { guarded, newCommand, printJson, wholeNumber } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { modelOption, runnableModel } from '../runnable-model.ts';
import type { CommonOptions, Shell } from '../shell.ts';

interface ServeOptions extends CommonOptions {
  readonly model: TrainedModel;
  readonly tokenizer?: string;
  readonly host: string;
  readonly port: number;
  readonly token: boolean;
  readonly tokenFile?: string;
  readonly conversations?: number;
  readonly threads?: number;
  readonly context?: number;
  readonly queue: number;
  readonly timeout: number;
}

/** Shorter ones can be guessed. */
const leastToken = 16;

export function serveModelCommand(shell: Shell): Command {
  return newCommand(
    'serve-model',
    'answer programs on this machine with an exported model: the OpenAI interface (chat, completions, streaming), and /v1/classify for students of a classification. Ctrl-C ends it: what runs may end within five seconds',
    'serve-model latest --port 8080',
  )
    .argument(
      '<model>',
      'an experiment (its id, the beginning of its id, or "latest"), a folder that "deploy" made, or a .gguf file',
    )
    .addOption(modelOption())
    .option('--tokenizer <folder>', "folder with tokenizer.json (default: the experiment's, or what the file holds)")
    .option('--host <address>', 'where to listen; another address than this machine needs a token', '127.0.0.1')
    .option('--port <number>', 'default: any free one', wholeNumber(0), 0)
    .option('--no-token', 'answer every program of this machine')
    .option('--token-file <file>', 'take the token from a file instead of a new one at each start')
    .option(
      '--conversations <number>',
      'requests computed at once, together (default: 32, fewer where half of the free memory does not hold their caches)',
      wholeNumber(1, 256),
    )
    .option('--threads <number>', 'threads that compute (default: all of the processor)', wholeNumber(1))
    .option('--context <tokens>', 'tokens of prompt and answer (default: as trained, at most 4096)', wholeNumber(8))
    .option('--queue <number>', 'requests that may wait; further ones are told to come again (429)', wholeNumber(0), 32)
    .option('--timeout <seconds>', 'longest time for one answer, waiting included', wholeNumber(1), 300)
    .action((reference: string, options: ServeOptions) =>
      guarded(shell, options, () => serveModel(shell, reference, options)),
    );
}

async function serveModel(shell: Shell, reference: string, options: ServeOptions): Promise<void> {
  const { path, tokenizer, record, folder, deployed } = await runnableModel(shell, reference, options);
  const { conversations, threads = availableParallelism(), host, port, queue, timeout, context } = options;
  const token = options.token ? tokenOf(options.tokenFile) : null;
  const name = record?.id ?? basename(path, '.gguf');
  const ofExperiment =
    record === null || folder === null
      ? null
      : {
          settings: record.recipe.task,
          seed: record.recipe.seed,
          experiment: folder,
          ...scoreTemperature(folder, options.model),
        };
  const task = deployed === null ? ofExperiment : { deployed };
  // From here on, so that a request to end while the model is loaded is not lost.
  const asked = askedToEnd(shell);
  try {
    const server = await startModelServer(servingPort, {
      model: {
        path,
        tokenizer,
        task,
        threads,
        ...(context === undefined ? {} : { contextLength: context }),
        ...(conversations === undefined ? {} : { conversations }),
      },
      name,
      host,
      port,
      token,
      queue,
      answerSeconds: timeout,
    });
    try {
      const { address, facts } = server;
      if (options.json === true) printJson(shell, { address, model: name, token, ...facts });
      else {
        shell.out(`${name} is at ${address}/v1\n`);
        if (token !== null && options.tokenFile === undefined) shell.out(`Token, shown once: ${token}\n`);
        shell.err(
          `${bytesInWords(facts.weightBytes)} of weights, ${facts.contextLength} tokens of context, ` +
            `${facts.conversations} requests at once (up to ${bytesInWords(facts.mostCacheBytes)}). Ctrl-C ends it.\n`,
        );
      }
      await asked.once;
      shell.err('Ending: what runs may end within five seconds. Ctrl-C again ends at once.\n');
    } finally {
      await Promise.race([server.close(), asked.twice.then(() => server.close(0))]);
    }
  } finally {
    asked.release();
  }
}

function askedToEnd(shell: Shell): {
  readonly once: Promise<undefined>;
  readonly twice: Promise<undefined>;
  release(): void;
} {
  const first = Promise.withResolvers<undefined>();
  const second = Promise.withResolvers<undefined>();
  let asked = false;
  const release = shell.onInterrupt(() => {
    (asked ? second : first).resolve(undefined);
    asked = true;
  });
  return { once: first.promise, twice: second.promise, release };
}

/** @throws TritsmithError `bad-input` for a file without a good token, `not-found` */
function tokenOf(file: string | undefined): string {
  if (file === undefined) return newToken();
  const path = absolutePath(file);
  const token = readFileSync(path, 'utf8').trim();
  if (token.length >= leastToken && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new TritsmithError('bad-input', 'serving.token-short', { path, least: leastToken });
}
