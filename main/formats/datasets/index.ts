/** Task rows and corpora from files. */
export { corpusFiles, readCorpus } from './corpus.ts';
export type { CorpusDocument } from './corpus.ts';
export type { Dataset, DatasetFormat, DatasetRow, Problem, ProblemKind, ProblemSummary } from './dataset.ts';
export { isNameByPlace } from './header.ts';
export { openDataset } from './open.ts';
