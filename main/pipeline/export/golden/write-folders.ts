/** `node write-folders.ts <folder>`: writes the folders that make.py runs. */
import { join } from 'node:path';
import { tinyParameters, writeTinySource } from '../../../models/fixtures/tiny-model.ts';
import { writeHuggingFaceFolder } from '../hugging-face-folder.ts';
import { tensorsInMemory } from '../fixtures/tensors-in-memory.ts';
import { cases, prompts } from './cases.ts';

const target = process.argv[2]!;
for (const [name, configuration] of Object.entries(cases)) {
  const source = join(target, `${name}-source`);
  await writeTinySource(source, configuration);
  const tensors = tensorsInMemory(tinyParameters(configuration));
  await writeHuggingFaceFolder(join(target, name), { configuration, tensors, source, card: '' }, 'F32');
}
process.stdout.write(`${JSON.stringify({ cases: Object.keys(cases), prompts })}\n`);
