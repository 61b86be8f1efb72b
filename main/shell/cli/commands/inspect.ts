/** `inspect <file>`: what is in a model file and who can run it. */
import type { Command } from 'commander';
import { renderSpoken } from '../../../contract/messages/message.ts';
import { plainNames } from '../../../contract/messages/names.ts';
import type { FileInspection } from '../../../contract/queries.ts';
import { askWorker } from '../../../jobs/host.ts';
import { tell } from '../called.ts';
import { guarded, newCommand, printJson } from '../command.ts';
import { absolutePath } from '../paths.ts';
import { percent } from '../../../contract/quantities.ts';
import { bytes, count, parameters } from '../quantities.ts';
import type { CommonOptions, Shell } from '../shell.ts';
import { facts, textTable } from '../text-table.ts';

export function inspectCommand(shell: Shell): Command {
  return newCommand(
    'inspect',
    'say what is in a GGUF or safetensors file and which programs can run it, and why',
    'inspect student.gguf --tensors',
  )
    .argument('<file>', 'a .gguf or .safetensors file, or the folder of a Hugging Face model')
    .option('--tensors', 'list every tensor')
    .option('--keys', 'list the metadata')
    .action((file: string, options: CommonOptions & { tensors?: boolean; keys?: boolean }) =>
      guarded(shell, options, async () => {
        const found = await askWorker(shell.port, { type: 'inspect-file', path: absolutePath(file) });
        if (options.json === true) printJson(shell, found);
        else tell(shell, inspectionText(found, options));
      }),
    );
}

function inspectionText(found: FileInspection, { tensors, keys }: { tensors?: boolean; keys?: boolean }): string {
  const overview = facts([
    ['file', `${found.path} (${found.format}, ${bytes(found.fileBytes)})`],
    ['architecture', found.architecture ?? 'unknown'],
    ...(found.name === null ? [] : [['name', found.name] as const]),
    ['parameters', parameters(found.parameters)],
    ['linear layers', bytes(found.bodyBytes)],
    ...(found.zeroFraction === null ? [] : [['zero weights', percent(found.zeroFraction)] as const]),
  ]);
  const parts = [
    overview,
    textTable(
      [{ title: 'type', align: 'left' }, { title: 'tensors' }, { title: 'size' }],
      found.types.map((entry) => [entry.type, count(entry.tensors), bytes(entry.bytes)]),
    ),
    textTable(
      [
        { title: 'program', align: 'left' },
        { title: 'runs it', align: 'left' },
        { title: 'reason', align: 'left' },
      ],
      found.verdicts.map((verdict) => [
        verdict.program,
        verdict.runs ? 'yes' : 'no',
        renderSpoken(verdict, plainNames)?.message ?? verdict.reason,
      ]),
    ),
  ];
  if (tensors === true) parts.push(tensorTable(found));
  if (keys === true) parts.push(facts(found.metadata.map(({ key, value }) => [key, value] as const)));
  return parts.join('\n');
}

function tensorTable({ tensors }: FileInspection): string {
  return textTable(
    [
      { title: 'tensor', align: 'left' },
      { title: 'type', align: 'left' },
      { title: 'shape' },
      { title: 'size' },
      { title: 'zeros' },
      { title: 'scale' },
    ],
    tensors.map(({ name, type, shape, bytes: size, zeroFraction, scale }) => [
      name,
      type,
      shape.join(' x '),
      size === null ? 'unknown' : bytes(size),
      zeroFraction === null ? '' : percent(zeroFraction),
      scale === null ? '' : scale.toPrecision(6),
    ]),
  );
}
