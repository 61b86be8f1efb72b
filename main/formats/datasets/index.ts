/** Task rows and corpora from files. */
export { turnsColumn } from './chats.ts';
export type { Turn } from './chats.ts';
export type { ChatLayout, ChatObstacle } from './dataset.ts';
export { corpusFiles } from './corpus-files.ts';
export type { CorpusFile, CorpusKind } from './corpus-files.ts';
export { readCorpus } from './corpus.ts';
export type { CorpusDocument } from './corpus.ts';
export type { Dataset, DatasetFormat, DatasetRow, Problem, ProblemKind, ProblemSummary } from './dataset.ts';
export { isNameByPlace } from './header.ts';
export { openDataset } from './open.ts';
export { assertWritable, type Cell, writeRows } from './write-rows.ts';
