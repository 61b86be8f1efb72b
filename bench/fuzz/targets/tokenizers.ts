/** Tokenizers and templates. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { compileTemplate, loadTokenizer, type Tokenizer } from '../../../main/formats/tokenizers/index.ts';
import { smallSentencePieceModel } from '../../../main/formats/tokenizers/fixtures/sentencepiece-file.ts';
import type { FuzzTarget, Sample } from '../target.ts';
import { smallTokenizer, spacedTokenizer } from './small-tokenizer.ts';

const text = 'hello <s> world __proto__ 1234 ▁\n\t  \u{1F999} hellohello';

function use(tokenizer: Tokenizer): void {
  for (const sample of ['', text]) tokenizer.decode(tokenizer.encode(sample));
  tokenizer.decode([0, 1, 261, 99_999]);
}

const consume = async (folder: string) => use(await loadTokenizer(folder));
const stepWords = ['NFKD', 'Lowercase', 'Strip', 'Metaspace', 'Digits', 'Punctuation', 'Removed', 'MergedWithNext'];

const tokenizerJson: FuzzTarget = {
  name: 'tokenizer.json',
  samples: () =>
    [smallTokenizer(), spacedTokenizer()].map((content): Sample => ({
      files: { 'tokenizer.json': JSON.stringify(content) },
      damaged: 'tokenizer.json',
      as: 'json',
      words: [...stepWords, '(a|a)+$', '(?:\\p{L}+)*x', '(?<=a)b', '\\1', '[', 'he'],
    })),
  consume,
};

const chatTemplate = `{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}{%- if loop.first and message.role != 'system' %}{{ bos_token }}{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

const vocabAndMerges: FuzzTarget = {
  name: 'vocab-and-merges',
  samples() {
    const { vocab, merges } = smallTokenizer()['model'] as { vocab: Record<string, number>; merges: string[] };
    const files = {
      'vocab.json': JSON.stringify(vocab),
      'merges.txt': `#version: 0.2\n${merges.join('\n')}\n`,
      'added_tokens.json': JSON.stringify({ '<tool>': 262 }),
      'special_tokens_map.json': JSON.stringify({ eos_token: { content: '<s>' }, pad_token: '<s>' }),
      'generation_config.json': JSON.stringify({ eos_token_id: [261, 262], bos_token_id: 1 }),
      'tokenizer_config.json': JSON.stringify({
        tokenizer_class: 'Qwen2Tokenizer',
        eos_token: '<s>',
        added_tokens_decoder: { '261': { content: '<s>', special: true, lstrip: false } },
        chat_template: [{ name: 'default', template: chatTemplate }],
      }),
    };
    return Object.keys(files).map((damaged): Sample => ({
      files,
      damaged,
      as: damaged.endsWith('.json') ? 'json' : 'text',
      words: ['h e', ' ', '\n', '\r\n', 'GPT2Tokenizer', 'q'],
    }));
  },
  async consume(folder) {
    const tokenizer = await loadTokenizer(folder);
    use(tokenizer);
  },
};

const templateWords = [
  '{% for i in range(9999) %}',
  '{% endfor %}',
  '{% if x %}',
  '{% endif %}',
  '{% set x = x ~ x %}',
  '{% set x = [x, x] %}',
  '{% set ns = namespace(x=1) %}',
  '{% set ns.x = ns.x + ns.x %}',
  '{% macro f(x) %}',
  '{{ f(f) }}',
  '{% endmacro %}',
  '{{ x | tojson(indent=999999) }}',
  '{{ x.__class__.__proto__ }}',
  '{{ constructor }}',
  ' | replace("", x)',
  ' | indent(99999999)',
  ' | join(x)',
  ' | sort',
  '[::-1]',
  '[0:9999999:0]',
  '.split("")',
  ' * 99999999',
  ' ** 9999',
  ' and ',
  ' not in ',
  '{{',
  '}}',
  '{%-',
  '-%}',
  '{#',
  '(',
  ')',
  '"',
  "'",
];

const prompt: FuzzTarget = {
  name: 'prompt-template',
  samples: () =>
    [
      'Question: {{ question }}\n{{ row["the context"] }}\nAnswer:',
      '{% if question %}{{ question | trim }}{% endif %}: ',
    ].map((template): Sample => ({
      files: { 'template.txt': template },
      damaged: 'template.txt',
      as: 'text',
      words: templateWords,
    })),
  async consume(folder, damaged) {
    const render = await compileTemplate(readFileSync(path.join(folder, damaged), 'utf8'));
    await render({ question: text, 'the context': 'x'.repeat(1000), __proto__: 'y', constructor: 'z' });
  },
};

const sentencePiece: FuzzTarget = {
  name: 'tokenizer.model',
  samples: () =>
    [smallSentencePieceModel(), smallSentencePieceModel({ 35: 0 }, { 3: 0, 4: 1 })].map((model): Sample => ({
      files: { 'tokenizer.model': model },
      damaged: 'tokenizer.model',
      as: 'bytes',
    })),
  consume,
};

export const tokenizerTargets = [tokenizerJson, sentencePiece, vocabAndMerges, prompt];
