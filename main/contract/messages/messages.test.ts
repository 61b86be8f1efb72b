/** The catalogue as a whole: nothing unsaid, nothing unused, and no label of a button in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { TritsmithError } from '../errors.ts';
import { serialisedError } from '../jobs.ts';
import { en } from './en.ts';
import {
  type Catalogue,
  isMessageId,
  message,
  type MessageId,
  type MessageParams,
  render,
  renderSpoken,
} from './message.ts';
import { type Names, plainNames } from './names.ts';
import { tell, tellError, wordsOf } from './told.ts';
import { told } from './told-schema.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const ids = Object.keys(en).filter(isMessageId);

function sourcesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|vue)$/.test(name) && !/\.test\.ts$|(^|\/)(fixtures|golden)\//.test(name))
    .map((name) => join(folder, name));
}
const sources = new Map(
  [...sourcesOf('main'), ...sourcesOf('renderer')].map((path) => [path, readFileSync(join(root, path), 'utf8')]),
);

/** A few parameters for every id, made from the types that its function in the catalogue asks for. */
const samples = sampleParams();

const sampleNames: Names = { setting: (id) => `<setting ${id}>`, action: (id) => `<action ${id}>` };

describe('the catalogue of messages', () => {
  it.each(ids)('says %s whole, whatever its parameters', (id) => {
    const params = samples.get(id);
    expect(params, 'no samples were found: is the message in a file of messages/en?').toBeDefined();
    for (const names of [plainNames, sampleNames])
      for (const each of params!) {
        const { message, reason, remedy } = render({ id, params: each }, names);
        expect(message).toMatch(/\S/);
        for (const text of [message, reason, remedy]) expect(text ?? '').not.toMatch(/undefined|NaN|\[object/);
      }
  });

  it('holds nothing that no source says', () => {
    const said = [...sources].filter(([path]) => !path.startsWith('main/contract/messages/')).map(([, text]) => text);
    expect(ids.filter((id) => !said.some((text) => text.includes(`'${id}'`)))).toEqual([]);
  });

  it('is the only place with texts of errors', () => {
    const own = [...sources].filter(([path, text]) => text.includes('new TritsmithError(') && ownTexts(path, text) > 0);
    expect(own.map(([path]) => path)).toEqual([]);
  });

  it('calls what is on a page only by the names that the page gives', () => {
    const labels = labelsOfThePage();
    expect(labels.length).toBeGreaterThan(100);
    const named = [...sources]
      .filter(([path]) => path.startsWith('main/') && !path.startsWith('main/shell/'))
      .flatMap(([path, text]) => {
        const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
        return labels
          .filter((label) => code.includes(`"${label}"`) || code.includes(`“${label}”`))
          .map((label) => `${path}: ${label}`);
      });
    expect(named).toEqual([]);
  });

  it('points at settings and actions in the words of each surface', () => {
    const error = new TritsmithError('out-of-memory', 'memory.ran-out', { reason: 'bad_alloc' });
    expect(error.remedy).toContain('a lower optimiser.microBatchTokens');
    const crossed = serialisedError.parse(JSON.parse(JSON.stringify(error.serialise())));
    expect(renderSpoken(crossed, sampleNames)?.remedy).toContain('a lower <setting optimiser.microBatchTokens>');
  });

  it('leaves what older and newer versions wrote as it was written', () => {
    const old = { code: 'damaged', message: 'It broke.', cause: 'Age.', remedy: 'Mend it.' } as const;
    expect(renderSpoken({ ...old, id: undefined }, plainNames)).toBeNull();
    expect(TritsmithError.deserialise(old)).toMatchObject({ message: 'It broke.', reason: 'Age.', remedy: 'Mend it.' });
    expect(TritsmithError.deserialise(old).serialise()).toEqual(old);
    for (const unknown of [{ id: 'of.another-version' }, { id: 'shards.missing', params: { folders: 3 } }]) {
      expect(renderSpoken(unknown, plainNames)).toBeNull();
      expect(TritsmithError.deserialise({ ...old, ...unknown }).message).toBe('It broke.');
    }
    // Names of other parameters do not throw but say "undefined".
    expect(renderSpoken({ id: 'gguf.damaged', params: { file: 'a' } }, plainNames)).toBeNull();
  });

  it('has a second language in a second catalogue, and English where that says nothing', () => {
    const german: Partial<Catalogue> = {
      'tensor.absent': ({ path, name }) => ({ message: `${path} hat keinen Tensor ${name}.` }),
      'memory.ran-out': ({ reason }, names) => ({
        message: 'Der Speicher ist voll.',
        reason,
        remedy: `Senke ${names.setting('optimiser.microBatchTokens')}.`,
      }),
      'teacher.unusable': ({ problem }, _, say) => ({
        message: 'Dieser Lehrer taugt nicht.',
        ...(problem && { reason: say(problem) }),
      }),
      // @ts-expect-error: no such message
      'tensor.absnt': () => ({ message: 'Er fehlt.' }),
    };
    const full = message('memory.ran-out', { reason: 'bad_alloc' });
    expect(render(full, sampleNames, german).remedy).toBe('Senke <setting optimiser.microBatchTokens>.');
    const problem = tell('tensor.absent', { path: 'a', name: 'b' });
    expect(problem.text).toMatch(/^There is no|a has no|b/);
    const nested = message('teacher.unusable', { problem });
    expect(render(nested, plainNames, german).reason).toBe('a hat keinen Tensor b.');
    expect(render(nested).reason).toBe(problem.text);
    expect(render(message('path.nul'), plainNames, german)).toEqual(render(message('path.nul')));
  });

  it('reads findings of older and newer versions as they were written', () => {
    expect(told.parse('It is old.')).toEqual({ text: 'It is old.' });
    expect(wordsOf(told.parse({ id: 'of.another-version', params: {}, text: 'It is new.' }))).toBe('It is new.');
    const error = new TritsmithError('bad-input', 'labels.only-one', { label: 'x' });
    const crossed = told.parse(JSON.parse(JSON.stringify(tellError(error))));
    expect(crossed.id).toBe('labels.only-one');
    expect(wordsOf(crossed, sampleNames)).toBe(`${error.message} ${error.remedy}`);
    expect(tellError(TritsmithError.from(new Error('Of a package.')))).toEqual({ text: 'Of a package.' });
  });

  it('is checked by types: an id takes its own parameters', () => {
    const params: MessageParams<'tensor.absent'> = { path: 'a', name: 'b' };
    expect(new TritsmithError('not-found', 'tensor.absent', params).params).toEqual(params);
    // @ts-expect-error: a parameter is missing
    new TritsmithError('not-found', 'tensor.absent', { path: 'a' });
    // @ts-expect-error: no such message
    expect(() => new TritsmithError('not-found', 'tensor.absnt', params)).toThrow();
    // @ts-expect-error: it takes none
    new TritsmithError('bad-input', 'path.nul', { path: 'a' });
  });
});

/** Errors of a source that are made with a text in place of an id. */
function ownTexts(path: string, text: string): number {
  let found = 0;
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && node.expression.getText() === 'TritsmithError') {
      const said = node.arguments?.[1];
      if (said !== undefined && (ts.isTemplateLiteral(said) || (ts.isStringLiteral(said) && !isMessageId(said.text))))
        found += 1;
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return found;
}

/** Texts of the interface that stand on controls and titles: short, and no sentences. Single small words are words of the language too. */
function labelsOfThePage(): string[] {
  const text = sources.get('renderer/texts.ts')!;
  const labels = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isStringLiteral(node.initializer)) {
      const label = node.initializer.text;
      if (/^\p{Lu}/u.test(label) && !/[.?!…]$/.test(label) && label.length < 60) labels.add(label);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('texts.ts', text, ts.ScriptTarget.Latest, true));
  return [...labels, 'Browse…'];
}

/** Values of a type: of a union one of each, of an optional or nullable thing one that is there and one that is not. */
function valuesOf(type: ts.Type, checker: ts.TypeChecker, place: ts.Node): unknown[] {
  if (type.isUnion()) return type.types.flatMap((each) => valuesOf(each, checker, place)).slice(0, 12);
  if (type.isStringLiteral() || type.isNumberLiteral()) return [type.value];
  if (type.flags & ts.TypeFlags.String) return ['words'];
  if (type.flags & ts.TypeFlags.Number) return [3, 5e9];
  if (type.flags & ts.TypeFlags.BooleanLiteral) return [checker.typeToString(type) === 'true'];
  if (type.flags & ts.TypeFlags.Undefined) return [undefined];
  if (type.flags & ts.TypeFlags.Null) return [null];
  if (checker.isArrayType(type)) {
    const element = checker.getTypeArguments(type as ts.TypeReference)[0]!;
    const values = valuesOf(element, checker, place);
    return [[], values, [...values, ...values, ...values, ...values, ...values, ...values]];
  }
  const fields = type.getProperties().map((property) => {
    const values = valuesOf(checker.getTypeOfSymbolAtLocation(property, place), checker, place);
    return [property.name, values] as const;
  });
  const most = Math.max(1, ...fields.map(([, values]) => values.length));
  return Array.from({ length: most }, (_, index) =>
    Object.fromEntries(fields.map(([name, values]) => [name, values[index % values.length]])),
  );
}

function sampleParams(): Map<MessageId, unknown[]> {
  const folder = join(root, 'main/contract/messages/en');
  const files = readdirSync(folder)
    .filter((name) => !name.endsWith('.test.ts'))
    .map((name) => join(folder, name));
  const program = ts.createProgram(files, {
    strict: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    allowImportingTsExtensions: true,
    noEmit: true,
    types: [],
  });
  const checker = program.getTypeChecker();
  const found = new Map<MessageId, unknown[]>();
  for (const file of files) {
    const visit = (node: ts.Node): void => {
      if (
        ts.isPropertyAssignment(node) &&
        (ts.isStringLiteral(node.name) || ts.isIdentifier(node.name)) &&
        isMessageId(node.name.text) &&
        ts.isArrowFunction(node.initializer)
      ) {
        const parameter = node.initializer.parameters[0];
        found.set(
          node.name.text,
          parameter === undefined ? [undefined] : valuesOf(checker.getTypeAtLocation(parameter), checker, parameter),
        );
      } else ts.forEachChild(node, visit);
    };
    visit(program.getSourceFile(file)!);
  }
  return found;
}
