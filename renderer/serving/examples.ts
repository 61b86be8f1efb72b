/** A request to a served student in the words of a language, ready to be pasted. */
import type { TaskSettings } from '../../main/contract/recipe.ts';
import type { ServedModel } from '../../main/contract/serving.ts';
import { examplePrompt, quoted } from '../exports/commands.ts';

export type Language = 'curl' | 'python' | 'javascript';
export const languages: readonly Language[] = ['curl', 'python', 'javascript'];

interface Question {
  readonly path: string;
  readonly body: object;
  /** Where the answer lies in the answer's JSON, in words that Python and JavaScript share. */
  readonly answer: string;
}

/** Labels of a classification; of a task with one column a chat; else the whole prompt, as the model knows it. */
function questionOf({ kind, textColumns, maxNewTokens, ...task }: TaskSettings): Question {
  const [only] = textColumns;
  const columns = Object.fromEntries(textColumns.map((column) => [column, `Your ${column}`]));
  const text = `Your ${only ?? 'text'}`;
  if (kind === 'classification')
    return {
      path: '/v1/classify',
      body: { input: textColumns.length === 1 ? [text] : [columns] },
      answer: '["data"][0]["label"]',
    };
  if (textColumns.length === 1)
    return {
      path: '/v1/chat/completions',
      body: { messages: [{ role: 'user', content: text }] },
      answer: '["choices"][0]["message"]["content"]',
    };
  const prompt = examplePrompt({ ...task, kind, textColumns, maxNewTokens }).replaceAll('\\n', '\n');
  return {
    path: '/v1/completions',
    body: { prompt, max_tokens: maxNewTokens, temperature: 0 },
    answer: '["choices"][0]["text"]',
  };
}

/** @param windows the terminal is one of Windows */
export function servingExample(
  { address, token }: Pick<ServedModel, 'address' | 'token'>,
  task: TaskSettings,
  language: Language,
  windows: boolean,
): string {
  const { path, body, answer } = questionOf(task);
  const url = `${address}${path}`;
  const json = JSON.stringify(body);
  if (language === 'curl') {
    const header = (text: string): string => `-H ${quoted(text, windows)}`;
    const lines = [
      `curl ${url}`,
      header(`Authorization: Bearer ${token}`),
      header('Content-Type: application/json'),
      `-d ${quoted(json, windows)}`,
    ];
    return lines.join(windows ? ' ' : ' \\\n  ');
  }
  if (language === 'python')
    return [
      'import json, urllib.request',
      '',
      'request = urllib.request.Request(',
      `    ${JSON.stringify(url)},`,
      // JSON of texts and whole numbers is Python, too.
      `    data=json.dumps(${json}).encode(),`,
      `    headers={"Authorization": "Bearer ${token}", "Content-Type": "application/json"},`,
      ')',
      'answer = json.load(urllib.request.urlopen(request))',
      `print(answer${answer})`,
    ].join('\n');
  return [
    `const response = await fetch(${JSON.stringify(url)}, {`,
    '  method: "POST",',
    `  headers: { Authorization: "Bearer ${token}", "Content-Type": "application/json" },`,
    `  body: JSON.stringify(${json}),`,
    '});',
    'const answer = await response.json();',
    `console.log(answer${answer});`,
  ].join('\n');
}
