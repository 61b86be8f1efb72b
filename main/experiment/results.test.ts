import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wordsOf } from '../contract/messages/told.ts';
import type { ModelEvaluation, StoredComparison } from '../contract/results.ts';
import { comparisonPath, evaluationPath, exportListPath } from './folder.ts';
import {
  readEvaluation,
  readExportList,
  readMeasurement,
  readStoredComparison,
  writeEvaluation,
  writeMeasurement,
  writeStoredComparison,
} from './results.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-results-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function leave(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** As version 0.1.0 wrote it; only the rows' answers are shortened. */
const oldEvaluation =
  '{"model":"bitdistill","metric":"accuracy","value":0.8555,"ci95":[0.8395,0.8702],"rows":2000,"crossEntropy":0.4417,' +
  '"scores":{"differenceFrom.teacher":-0.0085,"differenceFrom.teacher.low":-0.0187,"differenceFrom.teacher.high":0.0017,' +
  '"mcnemarP.teacher":0.1153,"agreementWithTeacher":0.9455,"differenceFrom.bitnet-sft":0.0345,' +
  '"differenceFrom.bitnet-sft.low":0.0189,"differenceFrom.bitnet-sft.high":0.0501,"mcnemarP.bitnet-sft":0.00002},' +
  '"predictions":[0,2,1],"answers":[],"request":{"promptTokens":38,"answerTokens":1}}\n';

describe('evaluations', () => {
  it('of earlier versions are read with their differences from the other models, in the order of tables', () => {
    leave(evaluationPath(folder, 'bitdistill'), oldEvaluation);
    const found = readEvaluation(folder, 'bitdistill')!;
    expect(found.differences).toEqual([
      { from: 'teacher', value: -0.0085, low: -0.0187, high: 0.0017, mcnemarP: 0.1153 },
      { from: 'bitnet-sft', value: 0.0345, low: 0.0189, high: 0.0501, mcnemarP: 0.00002 },
    ]);
    expect(found.scores).toEqual({ agreementWithTeacher: 0.9455 });
    expect(found).toMatchObject({ value: 0.8555, predictions: [0, 2, 1], request: { promptTokens: 38 } });
  });

  it('of texts had no test of McNemar, and an evaluation alone no differences', () => {
    const scores = { rouge1: 0.4, 'differenceFrom.teacher': -0.01, 'differenceFrom.teacher.low': -0.03 };
    const old = { ...(JSON.parse(oldEvaluation) as object), metric: 'rougeL' };
    const content = { ...old, scores: { ...scores, 'differenceFrom.teacher.high': 0.01 } };
    leave(evaluationPath(folder, 'bitdistill'), JSON.stringify(content));
    expect(readEvaluation(folder, 'bitdistill')).toMatchObject({
      scores: { rouge1: 0.4 },
      differences: [{ from: 'teacher', value: -0.01, low: -0.03, high: 0.01, mcnemarP: null }],
    });
    leave(evaluationPath(folder, 'bitdistill'), JSON.stringify({ ...old, scores: {} }));
    expect(readEvaluation(folder, 'bitdistill')!.differences).toEqual([]);
  });

  it('come back as they were written', async () => {
    const evaluation: ModelEvaluation = {
      model: 'teacher-q4_0',
      metric: 'rougeL',
      value: 0.3,
      ci95: [0.2, 0.4],
      rows: 2,
      drawnFrom: 10,
      crossEntropy: 2,
      scores: { rouge1: 0.4, bleu4: 0.1 },
      differences: [{ from: 'teacher', value: 0.01, low: -0.01, high: 0.03, mcnemarP: null }],
      predictions: [],
      answers: ['one', 'zwei ü'],
      request: { promptTokens: 5, answerTokens: 3 },
    };
    await writeEvaluation(folder, evaluation);
    expect(readEvaluation(folder, 'teacher-q4_0')).toEqual(evaluation);
    expect(readEvaluation(folder, 'bitnet-sft')).toBeNull();
  });

  it('that are cut off or of another shape are named, with the way out', () => {
    for (const content of [oldEvaluation.slice(0, 200), '{"model":"bitdistill"}', '[]', 'null']) {
      leave(evaluationPath(folder, 'teacher'), content);
      expect(() => readEvaluation(folder, 'teacher'), content).toThrow(
        expect.objectContaining({
          code: 'damaged',
          message: `${evaluationPath(folder, 'teacher')} cannot be read.`,
          remedy: 'Run the evaluation and the export again.',
        }) as Error,
      );
    }
  });
});

describe('the comparison', () => {
  const row = { name: 'bitdistill', accuracy: 0.9, ci95: [0.8, 0.95], bodyBytes: 1, fileBytes: 2 } as const;
  const speeds = { rssBytes: null, prefillTokensPerSecond: null, decodeTokensPerSecond: null };

  it('of earlier versions is read although it says that everything took no time', () => {
    leave(comparisonPath(folder), JSON.stringify({ rows: [{ ...row, ...speeds }], export: null, seconds: 0 }));
    const found = readStoredComparison(folder)!;
    expect(found).toEqual({ rows: [{ ...row, ...speeds, requestSeconds: null }], request: null, export: null });
  });

  it('says nothing of time on the disk', async () => {
    const stored: StoredComparison = {
      rows: [{ ...row, ...speeds, ci95: [0.8, 0.95], requestSeconds: 0.1 }],
      request: { promptTokens: 5, answerTokens: 1 },
      export: { path: 'exports/bitdistill-i2_s.gguf', type: 'i2_s', verified: true },
      exports: [],
    };
    await writeStoredComparison(folder, stored);
    expect(readStoredComparison(folder)).toEqual(stored);
    expect(Object.keys(JSON.parse(readFileSync(comparisonPath(folder), 'utf8')) as object)).not.toContain('seconds');
  });
});

describe('measurements and exports', () => {
  it('are null before there are any, and old measurements lack the time of a request', async () => {
    expect([readMeasurement(folder, 'teacher'), readExportList(folder)]).toEqual([null, null]);
    const found = { rssBytes: 1, prefillTokensPerSecond: 2, decodeTokensPerSecond: 3, threads: 1 };
    await writeMeasurement(folder, 'teacher', { ...found, requestSeconds: 0.5 });
    expect(readMeasurement(folder, 'teacher')).toEqual({ ...found, requestSeconds: 0.5 });
    leave(
      exportListPath(folder),
      '[{"model":"teacher","path":"exports/t.gguf","type":"f16","verified":true,"bodyBytes":1,"fileBytes":2}]',
    );
    expect(readExportList(folder)).toMatchObject([{ model: 'teacher', path: 'exports/t.gguf' }]);
  });

  it('keep what earlier versions wrote of them as text', () => {
    leave(
      exportListPath(folder),
      '[{"model":"teacher","path":"exports/t.gguf","type":"f16","verified":true,"bodyBytes":1,"fileBytes":2,' +
        '"checks":[{"name":"parser","passed":true,"text":"It reads the same.","figures":{"tensors":3}}],' +
        '"untried":[{"program":"llama.cpp","reason":"It is not here."}],"notes":["It is slow."]}]',
    );
    const { checks, untried, notes } = readExportList(folder)![0]!;
    expect(notes!.map((note) => wordsOf(note))).toEqual(['It is slow.']);
    expect(checks!.map((check) => wordsOf(check))).toEqual(['It reads the same.']);
    expect(untried).toEqual([{ program: 'llama.cpp', reason: 'It is not here.' }]);
  });
});
