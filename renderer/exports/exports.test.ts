import { describe, expect, it } from 'vitest';
import { tell, type Told } from '../../main/contract/messages/told.ts';
import type { TeacherCard } from '../../main/contract/queries.ts';
import { plainQuantisation, type Quantisation } from '../../main/contract/quantisation.ts';
import { type ExportType, taskSettings } from '../../main/contract/recipe.ts';
import { examplePrompt, quoted, runCommands, type Runnable } from './commands.ts';
import { capability, cardOf, embeddingsFor, estimatedBytes, holds, smallestStudent, unfit } from './sizes.ts';

const task = taskSettings.parse({
  name: 'tickets',
  kind: 'classification',
  train: 'train.tsv',
  textColumns: ['text'],
  labelColumn: 'queue',
  template: '{{ text }}\nQueue:',
});
const verdict = (program: 'Tritsmith' | 'bitnet.cpp' | 'llama.cpp', runs: boolean) => ({ program, runs, reason: '' });
const file: Runnable = {
  path: "/it's here/student.gguf",
  type: 'tq2_0',
  model: 'bitdistill',
  experiment: 'tickets-1',
  teacher: '/teacher',
  preferred: true,
  verdicts: [verdict('Tritsmith', true), verdict('bitnet.cpp', false), verdict('llama.cpp', true)],
};

describe('the commands that run an exported file', () => {
  it('name the columns of the task and write line breaks as llama.cpp reads them', () => {
    expect(examplePrompt(task)).toBe('<text>\\nQueue:');
    expect(examplePrompt({ ...task, template: '', textColumns: ['a', 'b'] })).toBe('<a>\\n<b>\\n');
    expect(examplePrompt({ ...task, template: '{{ row["the text"] | trim }}!' })).toBe('<the text>!');
  });

  it('are there for the programs that run it and for no other, with the path in quotes', () => {
    expect(runCommands(file, task, false)).toEqual([
      { program: 'Tritsmith', text: "npm run tritsmith -- classify tickets-1 --text '<text>'" },
      {
        program: 'llama.cpp',
        text: "llama-completion -m '/it'\\''s here/student.gguf' -no-cnv -p '<text>\\nQueue:' -n 8 --temp 0",
      },
    ]);
    expect(quoted('C:\\a b.gguf', true)).toBe('"C:\\a b.gguf"');
  });

  it('name the script of a portable archive', () => {
    expect(runCommands(file, task, false, '/opt/tritsmith 1/tritsmith')[0]!.text).toBe(
      "'/opt/tritsmith 1/tritsmith' classify tickets-1 --text '<text>'",
    );
    expect(runCommands(file, task, true, 'D:\\T\\tritsmith.cmd')[0]!.text).toMatch(/^"D:\\T\\tritsmith.cmd" classify /);
  });

  it('name the workspace where it is another than the command line would take', () => {
    expect(runCommands(file, task, false, null, '/a b')[0]!.text).toBe(
      "npm run tritsmith -- classify tickets-1 --text '<text>' --workspace '/a b'",
    );
  });

  it('in bitnet.cpp is its own build of the same program', () => {
    const ternary: Runnable = { ...file, type: 'i2_s', verdicts: [verdict('bitnet.cpp', true)] };
    const command = (windows: boolean) => runCommands(ternary, task, windows)[0]!.text;
    expect(command(false)).toMatch(/^build\/bin\/llama-completion -m .* -no-cnv -p .* -n 8 --temp 0$/);
    expect(command(true)).toMatch(/^build\\bin\\Release\\llama-completion -m "/);
  });

  it('leave Tritsmith out for a classifier that it would not take; a student that writes has its tokenizer in the file', () => {
    const pruning = { tokensBefore: 10, tokensAfter: 5, savedBytes: 1 };
    expect(runCommands({ ...file, pruning, preferred: false }, task, false).map(({ program }) => program)).toEqual([
      'llama.cpp',
    ]);
    const writing = taskSettings.parse({ ...task, kind: 'generation', maxNewTokens: 20 });
    expect(runCommands({ ...file, pruning }, writing, false)[0]!.text).toBe(
      "npm run tritsmith -- generate '/it'\\''s here/student.gguf' --prompt '<text>\nQueue:' --max-tokens 20",
    );
    expect(runCommands(file, writing, false)[0]!.text).toContain(" --tokenizer '/teacher' --prompt ");
  });
});

describe('sizes before the export', () => {
  const card = {
    vocabularySize: 1000,
    hiddenSize: 128,
    ffnSize: 512,
    heads: 4,
    headDim: 64,
    tiedEmbedding: true,
    bodyParameters: 1_000_000,
    exports: [] as TeacherCard['exports'],
    student: { bodyBytes: 250_000, fileBytes: 250_000 + 256_000 + 5000 },
  } as Parameters<typeof estimatedBytes>[0];

  it('follow the bits per weight of linear layers and embedding', () => {
    expect(estimatedBytes(card, 'i2_s', 'f16')).toEqual({ body: 250_000, file: 250_000 + 256_000 + 5000 });
    expect(estimatedBytes(card, 'q4_0', 'q8_0')).toEqual({ body: 562_500, file: 562_500 + 136_000 + 5000 });
  });

  it('name the smallest whole file, which depends on the blocks that fit', () => {
    const bytes = 250_000 + 136_000 + 5000;
    const blocks = { obstacle: null, padding: { bodyBytes: 250_000, tableBytes: 256_000 } };
    const odd = { ...card, exports: (['tq2_0', 'tq1_0'] as const).map((type) => ({ type, ...blocks })) };
    expect(smallestStudent(odd)).toEqual({
      ...{ type: 'i2_s', embedding: 'q8_0', bytes },
      times: (2_000_000 + 256_000 + 5000) / bytes,
    });
    expect(smallestStudent({ ...card, hiddenSize: 256 })).toMatchObject({ type: 'tq1_0', embedding: 'q6_k' });
    const obstacle = { text: 'It does not fit.' };
    const exports = (['i2_s', 'q2_0', 'tq2_0', 'tq1_0'] as const).map((type) => ({ type, obstacle, padding: null }));
    const onlyFolders = { ...card, exports };
    expect((['i2_s', 'tq2_0', 'onnx', 'q4_0'] as const).map((type) => holds(type, onlyFolders))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(smallestStudent(onlyFolders)).toMatchObject({ type: 'hf', embedding: 'f16' });
  });

  it('count the zeros of a wider file, so that the smallest may be another', () => {
    const padding = { bodyBytes: 100_000, tableBytes: 64_000 };
    const exports = (['i2_s', 'q2_0', 'tq2_0', 'tq1_0'] as const).map((type) => ({ type, obstacle: null, padding }));
    const wider = { ...card, exports };
    expect(estimatedBytes(wider, 'i2_s', 'f16')).toEqual({ body: 350_000, file: 350_000 + 320_000 + 5000 });
    expect(estimatedBytes(wider, 'i2_s', 'q8_0').file).toBe(350_000 + 170_000 + 5000);
    expect(smallestStudent(wider)).toMatchObject({ type: 'tq1_0', embedding: 'q8_0' });
    const fits = exports.map((each) => (each.type === 'q2_0' ? { ...each, padding: null } : each));
    expect(smallestStudent({ ...wider, exports: fits })).toMatchObject({ type: 'q2_0', embedding: 'q8_0' });
  });

  it('T3_4 is the smallest where exactly three of four weights are not 0, and refused elsewhere with the reason', () => {
    const exports = (['i2_s', 'tq1_0', 't3_4', 'f16'] as const).map((type) => {
      const obstacle = type === 't3_4' ? tell('export.three-of-four') : null;
      return { type, obstacle, padding: null };
    });
    const known = { ...card, exports };
    const of = (sparsity: '3:4' | 'exactly-3:4', group: 'tensor' | 'row' = 'tensor') =>
      cardOf(known, { weights: { scale: 'absmean', group, sparsity } });
    expect(smallestStudent(of('exactly-3:4'))).toMatchObject({ type: 't3_4', embedding: 'q8_0' });
    expect(estimatedBytes(card, 't3_4', 'f16').body).toBe(156_250);
    expect(holds('t3_4', of('3:4'))).toBe(false);
    expect(capability(of('3:4'), 't3_4')?.obstacle?.id).toBe('export.three-of-four');
    expect(holds('t3_4', card)).toBe(false);
    const rows = of('exactly-3:4', 'row');
    expect((['i2_s', 'tq1_0', 't3_4', 'f16'] as const).map((type) => holds(type, rows))).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  it('name what of a model a type can not hold: its quantisation, that it is ternary, or something else', () => {
    const obstacles = {
      t3_4: tell('export.three-of-four'),
      hf: tell('export.folder-rows', { name: 'down', rows: 510 }),
      f16: tell('export.ternary-as-dense', { type: 'f16' }),
    };
    const exports = (['i2_s', 'q2_0', 'tq2_0', 't3_4', 'hf', 'f16'] as const).map((type) => ({
      type,
      obstacle: (obstacles as Partial<Record<ExportType, Told>>)[type] ?? null,
      padding: null,
    }));
    const known = { ...card, exports };
    const of = (quantisation: Partial<Quantisation>) => cardOf(known, { ...plainQuantisation, ...quantisation });
    const reasons = (of: TeacherCard) =>
      Object.fromEntries(of.exports.flatMap(({ type }) => (holds(type, of) ? [] : [[type, unfit(type, of)] as const])));
    expect(reasons(known)).toEqual({ t3_4: 'quantisation', hf: 'model', f16: 'ternary' });
    const rows = of({ weights: { scale: 'absmean', group: 'row', sparsity: 'exactly-3:4' } });
    expect(reasons(rows)).toEqual({ i2_s: 'quantisation', hf: 'quantisation', f16: 'ternary' });
    const columns = of({ weights: { scale: 'absmean', group: 64, sparsity: '3:4' } });
    const four = { i2_s: 'quantisation', tq2_0: 'quantisation', t3_4: 'quantisation', hf: 'quantisation' };
    expect(reasons(columns)).toEqual({ ...four, f16: 'ternary' });
    const turned = of({ activations: { hadamard: true, bits: 4 } });
    const all = { q2_0: 'quantisation', tq2_0: 'quantisation', t3_4: 'quantisation', hf: 'quantisation' };
    expect(reasons(turned)).toEqual({ ...all, f16: 'ternary' });
  });

  it('offer only embeddings whose blocks fit the rows', () => {
    expect(embeddingsFor('i2_s', card)).toEqual(['f16', 'q8_0', 'f32']);
    expect(embeddingsFor('hf', card)).toEqual(['f16', 'f32']);
  });
});
