/** What the programs that are started in a terminal say: only these may name commands and flags outright. */
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Say, Sentences, Told } from '../sentences.ts';

export const commandLine = {
  'cli.benchmark-options': ({ problems }: { problems: readonly string[] }): Sentences => ({
    message: 'These lengths or thread counts cannot be measured.',
    reason: problems.join('; '),
    remedy: 'At most 256 threads, prompts of 32768 tokens, 512 written tokens, and eight of a list.',
  }),
  'cli.prompts-too-long': (): Sentences => ({
    message: "The model's context holds none of these prompts.",
    remedy: 'Give shorter ones: --prompts 16 --decode 8.',
  }),
  'cli.chat-template-of-no-teacher': (): Sentences => ({
    message: 'No teacher was given whose chat template could be used.',
    remedy: 'Give --teacher, or leave --chat-template out.',
  }),
  'cli.like-and-add': (): Sentences => ({
    message: '--like and --add go together, and with no other recipe or rows.',
    remedy: 'For example: tritsmith run --like latest --add tickets-of-this-month.xlsx',
  }),
  'cli.text-or-file': (): Sentences => ({
    message: 'There must be either a text or a file to label.',
    remedy: 'Give --text "..." or --file rows.tsv.',
  }),
  'cli.out-of-file': (): Sentences => ({
    message: 'There are no rows to write.',
    reason: '--out goes with --file, and --unsure with --out.',
    remedy: 'For example: tritsmith classify latest --file in.csv --out out.csv --unsure 0.6',
  }),
  'cli.texts': ({ task, columns, given }: { task: string; columns: readonly string[]; given: number }): Sentences => ({
    message: `The task "${task}" reads ${columns.length} text columns.`,
    reason: `They are ${columns.join(', ')}; --text was given ${given} times.`,
    remedy: 'Give --text once for each of them, in this order.',
  }),
  'cli.no-results': ({ id, state }: { id: string; state: string }): Sentences => ({
    message: `${id} has no results yet; it is ${state}.`,
    remedy: `tritsmith resume ${id}`,
  }),
  'cli.no-export': ({ id }: { id: string }): Sentences => ({
    message: 'The export left no file.',
    remedy: `tritsmith show ${id} --logs`,
  }),
  'cli.no-such-embedding': ({ type, embedding }: { type: string; embedding: string }): Sentences => ({
    message: `The type ${type} has no ${embedding} embedding.`,
    reason: 'Only GGUF files hold quantised embeddings.',
    remedy: 'Export it with --embedding f16 or f32, or as GGUF (--type i2_s, q2_0, tq2_0 or tq1_0).',
  }),
  'cli.unfinished': ({ id, state, what }: { id: string; state: string; what: string }): Sentences => ({
    message: `${id} is ${state}: it cannot be ${what} yet.`,
    remedy: `Finish it first: tritsmith resume ${id}`,
  }),
  'cli.generate-options': ({ problems }: { problems: readonly string[] }): Sentences => ({
    message: 'These options cannot be used.',
    reason: problems.join('; '),
    remedy: 'tritsmith generate --help says what each of them means.',
  }),
  'cli.nothing-to-resume': ({ id, state }: { id: string; state: string }): Sentences => ({
    message: `${id} is ${state}: there is nothing to resume.`,
    remedy: `"tritsmith show ${id}" shows its results.`,
  }),
  'cli.recipe-is-no-json': ({ path, problem }: { path: string; problem: string }): Sentences => ({
    message: `${path} is not JSON.`,
    reason: problem,
    remedy: 'A recipe is a JSON file; "tritsmith run --print-recipe" with flags prints one.',
  }),
  'cli.no-recipe': (): Sentences => ({
    message: 'Neither a recipe file nor --teacher and --train were given.',
    remedy: '"tritsmith run --help" shows both ways.',
  }),
  'cli.choose-gguf': ({ id, files }: { id: string; files: readonly { name: string; bytes: number }[] }): Sentences => ({
    message: `${id} holds several GGUF files.`,
    reason: files.map(({ name, bytes }) => `${name} (${bytesInWords(bytes)})`).join(', '),
    remedy: `Name one of them: tritsmith teacher download ${id}/${files[0]?.name ?? 'file.gguf'}`,
  }),
  'cli.hub-name': ({ id }: { id: string }): Sentences => ({
    message: `"${id}" is no name of a model on the Hub.`,
    remedy: 'Give it as owner/name, such as Qwen/Qwen3-0.6B.',
  }),
  'cli.no-teacher': ({ id, problem }: { id: string; problem?: Told | undefined }, _: Names, say: Say): Sentences => ({
    message: `${id} cannot be a teacher, so it is not downloaded.`,
    reason: problem === undefined ? 'unknown' : say(problem),
  }),
  'cli.no-file': ({ path }: { path: string }): Sentences => ({
    message: `There is no file ${path}.`,
    remedy: 'Check the path; an experiment is named by its id or "latest".',
  }),
  'server.page-not-built': (): Sentences => ({
    message: 'The interface could not be built.',
    remedy: 'Run "npm ci" and try again.',
  }),
  'server.port': ({ port, problem }: { port: number; problem: string }): Sentences => ({
    message: `The port ${port} cannot be used.`,
    reason: problem,
    remedy: 'Choose another one with --port, or leave it out.',
  }),
};
