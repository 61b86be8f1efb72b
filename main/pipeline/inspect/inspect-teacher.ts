/** What can be said about a Hugging Face folder or a GGUF file from its headers alone: nothing is trained and no weight is loaded. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { Told } from '../../contract/messages/sentences.ts';
import { tell, tellError } from '../../contract/messages/told.ts';
import type { RemoteModel, TeacherCard } from '../../contract/queries.ts';
import { modelFolder } from '../../basics/hub-cache.ts';
import { openRegularFile } from '../../basics/regular-file.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import { readAdapter } from '../../models/adapter.ts';
import {
  architectureOf,
  familyOfGguf,
  knownGgufArchitectures,
  parseConfiguration,
} from '../../models/architectures/index.ts';
import { readModelSettings } from '../../models/companion-files.ts';
import { type ModelConfiguration, projections } from '../../models/configuration.ts';
import { hubName } from '../../models/declared-model.ts';
import { type FolderModel, readModelFolder } from '../../models/folder-source.ts';
import type { WeightFacts } from '../../models/model-source.ts';
import {
  isModelFile,
  modelCompanions,
  modelConfiguration,
  modelTokenizer,
  openModel,
} from '../../models/open-model.ts';
import { countParameters, parameterSpecifications } from '../../models/parameters.ts';
import { assertWholeTypes } from '../../models/stored-weights.ts';
import { defaultExportNote, exportCapabilities } from '../export/capabilities.ts';

/** An I2_S tensor: 2 bits a weight and 32 bytes with its scale (docs/formats.md, 2.1). */
const i2STrailerBytes = 32;

/**
 * The card of the model in `path`: its folder, its place in the cache of Hugging Face's own programs, or a GGUF file. A model that is refused gets a card
 * as well, with `supported` false and the reason.
 * @throws TritsmithError `not-found` when there is no model at all
 */
export async function inspectTeacher(path: string): Promise<TeacherCard> {
  const folder = modelFolder(path);
  const file = await isModelFile(folder);
  const adapter = file ? null : await readAdapter(folder);
  if (adapter !== null) {
    const problem = tell('adapter.needs-base', { base: adapter.base });
    return { ...emptyCard(folder), architecture: 'LoRA adapter', adapter: { base: adapter.base }, problem };
  }
  try {
    const model = file
      ? { configuration: await modelConfiguration(folder), findings: [] }
      : await readModelFolder(folder, await originalOf(folder));
    return await cardOf(folder, model);
  } catch (thrown) {
    const error = TritsmithError.from(thrown);
    if (error.code !== 'unsupported') throw error;
    return {
      ...emptyCard(folder),
      architecture: await modelType(folder),
      problem: tellError(error),
    };
  }
}

/** The card that a model would get once it is here, from its configuration alone; its tensors are still to be checked then. */
export function foreseeTeacher(model: RemoteModel): TeacherCard {
  const { folder, licence, weightBytes, weightFiles, weightTypes, original, gguf } = model;
  if (gguf !== null) return { ...foreseeFile(folder, gguf), licence, weightBytes, weightFiles };
  try {
    const configuration = parseConfiguration(model.configuration, original);
    assertWholeTypes(weightTypes, original);
    const card = {
      ...shapeCard(folder, configuration),
      weightBytes,
      weightTypes,
      weightFiles,
      licence,
      student: studentBytes(configuration, model.tokenizerBytes),
      warnings: exportWarnings(configuration),
    };
    return model.tokenizerBytes === 0
      ? { ...card, problem: tell('teacher.no-tokenizer') }
      : { ...card, supported: true };
  } catch (thrown) {
    const error = TritsmithError.from(thrown);
    const type = /"model_type"\s*:\s*"([^"]{1,60})"/.exec(model.configuration)?.[1] ?? 'unknown';
    return { ...emptyCard(folder), architecture: type, licence, problem: tellError(error) };
  }
}

/** What the Hub tells of a GGUF file; its shape, tokenizer and types are read once it is here. */
function foreseeFile(
  path: string,
  { architecture, parameters, contextLength }: NonNullable<RemoteModel['gguf']>,
): TeacherCard {
  const family = familyOfGguf(architecture ?? '');
  const card = { ...emptyCard(path), architecture: family?.title ?? architecture ?? 'unknown' };
  if (family) return { ...card, supported: true, parameters: parameters ?? 0, contextLength: contextLength ?? 0 };
  return {
    ...card,
    problem: tell('gguf.architecture', { path, architecture: card.architecture, known: knownGgufArchitectures() }),
  };
}

async function cardOf(folder: string, { configuration, findings }: FolderModel): Promise<TeacherCard> {
  const { weights, problem: weightProblem } = await weightFacts(folder, configuration);
  const { tokenizer, problem: tokenizerProblem, warnings } = await tokenizerFacts(folder, configuration);
  const codes = weights.ternary === 'codes' ? tell('teacher.ternary-codes') : null;
  const problem = weightProblem ?? codes ?? tokenizerProblem ?? null;
  const file = await isModelFile(folder);
  return {
    ...shapeCard(folder, configuration),
    supported: problem === null,
    ...(problem === null ? {} : { problem }),
    weightBytes: weights.bytes,
    weightTypes: [...weights.types],
    weightFiles: weights.files,
    tokenizer,
    licence: file ? await licenceInFile(folder) : await licenceOf(folder),
    student: studentBytes(
      configuration,
      file ? (await modelCompanions(folder)).travelling : await tokenizerBytes(folder),
    ),
    ...(weights.ternary === undefined ? {} : { ternary: weights.ternary }),
    warnings: [...findings, ...quantisationWarnings(weights), ...warnings, ...exportWarnings(configuration)],
  };
}

/** What the configuration alone tells. */
function shapeCard(folder: string, configuration: ModelConfiguration): TeacherCard {
  const counts = countParameters(configuration);
  return {
    ...emptyCard(folder),
    architecture: architectureOf(configuration.architecture).title,
    layers: configuration.layers,
    hiddenSize: configuration.hiddenSize,
    ffnSize: configuration.ffnSize,
    heads: configuration.heads,
    kvHeads: configuration.kvHeads,
    headDim: configuration.headSize,
    vocabularySize: configuration.vocabSize,
    contextLength: configuration.maxPositions,
    tiedEmbedding: configuration.tiedEmbeddings,
    parameters: counts.total,
    bodyParameters: counts.body,
    exports: exportCapabilities(studentOf(configuration), configuration),
  };
}

/**
 * Bytes of the ternary student as an I2_S file with F16 embedding and F32 norms: the packed linear layers, and everything. The
 * tokenizer in a GGUF is about as large as its source, so the file is an estimate to about 2 %.
 */
export function studentBytes(
  configuration: ModelConfiguration,
  tokenizerFileBytes: number,
): { bodyBytes: number; fileBytes: number } {
  const counts = countParameters(configuration);
  const { layers, heads, headSize, ffnSize } = configuration;
  const bodyBytes = counts.body / 4 + layers * projections.length * i2STrailerBytes;
  const dense = (counts.embedding + counts.head) * 2;
  const subln = configuration.subln === 'none' ? layers * (heads * headSize + ffnSize) : 0;
  const norms = (counts.total - counts.body - counts.embedding - counts.head + subln) * 4;
  return { bodyBytes, fileBytes: Math.round(bodyBytes + dense + norms + tokenizerFileBytes) };
}

/** From the headers: size, types, and whether each tensor that config.json asks for is there in its shape. */
async function weightFacts(
  path: string,
  configuration: ModelConfiguration,
): Promise<{ weights: WeightFacts; problem: Told | null }> {
  const model = await openModel(path);
  try {
    const { weights } = model;
    for (const parameter of parameterSpecifications(configuration)) {
      const stored = model.stored(parameter);
      if (stored === null) return { weights, problem: tell('teacher.tensor-lacks', { name: parameter.name }) };
      const { name, shape, expected: wanted } = stored;
      if (shape.join() !== wanted.join())
        return { weights, problem: tell('teacher.tensor-shape', { name, stored: shape, wanted }) };
    }
    return { weights, problem: null };
  } finally {
    await model.close();
  }
}

/** A teacher that was quantised has lost something; the student is compared with it all the same. */
function quantisationWarnings({ bitsPerWeight, types, ternary }: WeightFacts): Told[] {
  if (ternary !== undefined) return ternary === 'latent' ? [tell('teacher.ternary')] : [];
  return bitsPerWeight === null ? [] : [tell('teacher.quantised', { bits: bitsPerWeight, types })];
}

async function tokenizerFacts(
  folder: string,
  configuration: ModelConfiguration,
): Promise<{ tokenizer: TeacherCard['tokenizer']; problem?: Told; warnings: Told[] }> {
  try {
    const tokenizer = await modelTokenizer(folder, { vocabSize: configuration.vocabSize });
    const eos = tokenizer.eosId === null ? [tell('teacher.no-end-of-text')] : [];
    const { preTokenizer } = tokenizer.definition;
    const byteLevel = JSON.stringify(preTokenizer ?? '').includes('ByteLevel');
    return { tokenizer: { kind: byteLevel ? 'byte-level BPE' : 'BPE', tokens: tokenizer.vocabSize }, warnings: eos };
  } catch (thrown) {
    const problem = tell('teacher.unusable-tokenizer', { problem: tellError(TritsmithError.from(thrown)) });
    return { tokenizer: null, problem, warnings: [] };
  }
}

/** What to know of the student's file where the shape makes it no ordinary one. */
function exportWarnings(configuration: ModelConfiguration): Told[] {
  const note = defaultExportNote(studentOf(configuration));
  return note === null ? [] : [note];
}

/** The student that every preset makes of a teacher. */
function studentOf(teacher: ModelConfiguration): ModelConfiguration {
  return { ...teacher, ternary: true, subln: 'paper', qkvBias: false };
}

async function tokenizerBytes(folder: string): Promise<number> {
  for (const names of [['tokenizer.json'], ['vocab.json', 'merges.txt'], ['tokenizer.model']]) {
    try {
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
      return sizes.reduce((sum, size) => sum + size, 0);
    } catch {
      continue;
    }
  }
  return 0;
}

/** The facts in front of the model's README, as YAML; empty where there are none. */
async function frontMatterOf(folder: string): Promise<string> {
  const readme = await optionalText(join(folder, 'README.md'));
  return /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme ?? '')?.[1] ?? '';
}

/** The model from which this one was made, as the README's front matter names it (`base_model: owner/name`, or the first of a list). */
async function originalOf(folder: string): Promise<string | null> {
  const named = /^base_model:\s*(?:-\s*)?["']?([^"'\s]+)/m.exec(await frontMatterOf(folder))?.[1];
  return hubName(named);
}

/** `license:` of the README's front matter, or the first line of a LICENSE file. */
async function licenceOf(folder: string): Promise<string | null> {
  const frontMatter = await frontMatterOf(folder);
  const field = /^license(?:_name)?:\s*["']?([^"'\r\n]+)/m.exec(frontMatter)?.[1];
  if (field !== undefined) return field.trim().slice(0, 100);
  for (const name of ['LICENSE', 'LICENSE.md', 'LICENSE.txt']) {
    const line = (await optionalText(join(folder, name)))?.split('\n').find((text) => text.trim() !== '');
    if (line !== undefined) return line.trim().slice(0, 100);
  }
  return null;
}

/** `general.license` of a GGUF file. */
async function licenceInFile(path: string): Promise<string | null> {
  return (await textInFile(path, 'general.license'))?.slice(0, 100) ?? null;
}

async function textInFile(path: string, key: string): Promise<string | null> {
  const file = await openGguf(path);
  await file.close();
  const value = file.metadata.get(key)?.value;
  return typeof value === 'string' ? value : null;
}

async function modelType(path: string): Promise<string> {
  try {
    if (await isModelFile(path)) return (await textInFile(path, 'general.architecture')) ?? 'unknown';
    const { model_type: type } = await readModelSettings(path, 'config.json');
    return typeof type === 'string' ? type : 'unknown';
  } catch {
    return 'unknown';
  }
}

const firstBytes = 100_000;

/** The beginning of a text file; null where there is none, or something else than a file. */
async function optionalText(path: string): Promise<string | null> {
  try {
    const { handle } = await openRegularFile(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(firstBytes), 0, firstBytes, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch {
    return null;
  }
}

function emptyCard(folder: string): TeacherCard {
  return {
    folder,
    supported: false,
    architecture: 'unknown',
    layers: 0,
    hiddenSize: 0,
    ffnSize: 0,
    heads: 0,
    kvHeads: 0,
    headDim: 0,
    vocabularySize: 0,
    contextLength: 0,
    tiedEmbedding: false,
    parameters: 0,
    bodyParameters: 0,
    exports: [],
    weightBytes: 0,
    weightTypes: [],
    weightFiles: 0,
    tokenizer: null,
    licence: null,
    student: { bodyBytes: 0, fileBytes: 0 },
    warnings: [],
  };
}
