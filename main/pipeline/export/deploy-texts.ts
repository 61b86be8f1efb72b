/** What a person reads and runs in the folder that is handed over. The programs in it need nothing but what they name. */
import type { TaskSettings } from '../../contract/recipe.ts';
import type { RunVerdict } from '../../contract/queries.ts';
import type { LabelWords } from '../task/label-words.ts';
import type { PromptPieces } from '../task/prompt-pieces.ts';

type Program = RunVerdict['program'];

export interface DeployedStudent {
  /** File name of the model. */
  readonly model: string;
  readonly task: TaskSettings;
  readonly labels: LabelWords | null;
  /** Programs that run this file. */
  readonly runsIn: readonly Program[];
  readonly prompt: PromptPieces | null;
}

/** README.md, the grammar of the labels, and the examples that this prompt and these programs allow, by file name. */
export function deployTexts(student: DeployedStudent): Record<string, string> {
  const { labels, prompt } = student;
  const others = inOthers(student);
  return {
    'README.md': readme(student),
    ...(labels === null ? {} : { 'labels.gbnf': grammar(labels) }),
    ...(prompt === null || others.length === 0
      ? {}
      : { 'example.sh': shellExample(student, prompt), 'example.py': pythonExample(student, prompt) }),
  };
}

const inOthers = ({ runsIn }: DeployedStudent): Program[] =>
  runsIn.filter((program) => program === 'llama.cpp' || program === 'bitnet.cpp');

/** Tokens that an answer may need: words are seldom more than a token for each character. */
function answerTokens({ task, labels }: DeployedStudent): number {
  return labels === null ? task.maxNewTokens : Math.max(...labels.ids.map(({ length }) => length)) + 4;
}

/** GBNF (llama.cpp, grammars/README.md): the answer is one of the labels' words. */
export function grammar({ words }: LabelWords): string {
  const literal = (word: string): string =>
    `"${word.replaceAll(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t')}"`;
  return `root ::= ${words.map(literal).join(' | ')}\n`;
}

/** As one argument of a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** Columns as a person fills them in. Their names come from a file of others and stand in comments of programs: only letters stay. */
const parameters = ({ task }: DeployedStudent): string =>
  task.textColumns.map((name) => `"<${name.replaceAll(/[^\p{L}\p{N} _.-]/gu, '')}>"`).join(' ');

function shellExample(student: DeployedStudent, prompt: PromptPieces): string {
  const { model, labels } = student;
  const text = prompt
    .filter((piece) => piece !== '')
    .map((piece) => (typeof piece === 'number' ? `"\${${piece + 1}}"` : quoted(piece)))
    .join('');
  const grammars = labels === null ? '' : ' --grammar-file labels.gbnf';
  return `#!/bin/sh
# sh example.sh ${parameters(student)}
# LLAMA: llama-completion of llama.cpp, or build/bin/llama-completion of bitnet.cpp, where it is not found by its name.
cd "$(dirname "$0")" || exit 1
# The dot keeps line breaks at the end, which the shell would take away.
prompt=$(printf '%s.' ${text})
"\${LLAMA:-llama-completion}" -m ${quoted(model)} -no-cnv --no-display-prompt --temp 0 \\
  -n ${answerTokens(student)}${grammars} -p "\${prompt%.}"
`;
}

/** A text of Python's source; JSON's escapes are Python's too. */
const python = (text: string): string => JSON.stringify(text);

function pythonExample(student: DeployedStudent, prompt: PromptPieces): string {
  const { model, task, labels } = student;
  const text = prompt
    .filter((piece) => piece !== '')
    .map((piece) => (typeof piece === 'number' ? `texts[${piece}]` : python(piece)))
    .join(' + ');
  const named =
    labels === null
      ? ''
      : `labels = {${labels.classes.map((label, at) => `${python(labels.words[at]!.trim())}: ${python(label)}`).join(', ')}}\n`;
  const grammars = labels === null ? '' : `, "grammar": open("labels.gbnf", encoding="utf-8").read()`;
  const answer = 'json.load(reply)["content"].strip()';
  return `"""Start the server: llama-server -m ${model} --port 8080
Then, in this folder: python3 example.py ${parameters(student).replaceAll('"', "'")}"""
import json, sys, urllib.request

${named}def ask(*texts):
    prompt = ${text}
    body = {"prompt": prompt, "temperature": 0, "n_predict": ${answerTokens(student)}${grammars}}
    request = urllib.request.Request("http://127.0.0.1:8080/completion", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return ${labels === null ? answer : `labels[${answer}]`}

print(ask(*sys.argv[1:${task.textColumns.length + 1}]))
`;
}

function readme(student: DeployedStudent): string {
  const { model, task, labels, runsIn, prompt } = student;
  const others = inOthers(student);
  const columns = task.textColumns.map((name) => `"${name}"`).join(', ');
  const what =
    labels === null
      ? `It is given ${columns} and writes an answer of at most ${task.maxNewTokens} tokens.`
      : `It is given ${columns} and says which of ${labels.classes.length} labels fits: ${labels.classes.slice(0, 20).join(', ')}${labels.classes.length > 20 ? ' and others (task.json)' : ''}.`;
  const input = JSON.stringify(Object.fromEntries(task.textColumns.map((name) => [name, '...'])));
  const blocks: string[] = [
    `# ${task.name}`,
    `A small language model for one task, made by Tritsmith. ${what} How good it is and from what it was made: model-card.md.`,
    [
      '| file | what it is |',
      '|---|---|',
      `| ${model} | the model, with its tokenizer inside |`,
      '| task.json | the prompt, the labels with their words and tokens, the longest text |',
      ...(labels === null ? [] : ['| labels.gbnf | a grammar that lets llama.cpp answer with labels alone |']),
      ...(prompt === null || others.length === 0
        ? []
        : ['| example.sh, example.py | how to ask it in llama.cpp or bitnet.cpp |']),
      '| tokenizer.json and others | the tokenizer for other programs |',
      '| model-card.md | results, recipe, hashes, machine |',
    ].join('\n'),
  ];
  if (runsIn.includes('Tritsmith'))
    blocks.push(
      '## In Tritsmith',
      `A server with the OpenAI interface${labels === null ? '' : ', and /v1/classify with the score of each label'}; its token is printed at the start. (\`tritsmith\` lies beside the start script of a portable archive; in a clone say \`npm run tritsmith --\` instead.)`,
      '```sh\ntritsmith serve-model <this folder> --port 8080\n' +
        (labels === null
          ? ''
          : `curl http://127.0.0.1:8080/v1/classify -H "Authorization: Bearer <token>" -H "Content-Type: application/json" -d '${JSON.stringify({ input: JSON.parse(input) as object }).replaceAll("'", "'\\''")}'\n`) +
        '```',
    );
  if (others.length > 0)
    blocks.push(
      `## In ${others.join(' and ')}`,
      prompt === null
        ? 'The prompt template in task.json is a program of its own (Jinja), so there is no short example: render it as Jinja does, and give the text to llama-completion or llama-server as it is, without a chat template.'
        : `\`sh example.sh ${parameters(student)}\` asks it once. For many texts, start \`llama-server -m ${model} --port 8080\` and use example.py, which needs nothing but Python 3.`,
      ...(labels === null
        ? []
        : [
            'With the grammar, the answer is found word by word. Tritsmith compares the scores of whole labels, so where labels have several words and two are close, the two can differ.',
          ]),
      `Texts of more than ${task.maxLength} tokens lose their middle in Tritsmith, as in training; other programs do not shorten them.`,
    );
  if (runsIn.length === 0) blocks.push('No program is known to run this file: see model-card.md.');
  return `${blocks.join('\n\n')}\n`;
}
