/** Reads native/binding.gyp, so that what is prebuilt is compiled from the same files with the same options as what node-gyp builds. */
import { z } from 'zod';

const words = z.array(z.string());
const gypTarget = z.object({
  target_name: z.string(),
  sources: words,
  cflags: words.optional(),
  defines: words.optional(),
});
const condition = z.tuple([z.string(), z.object({ targets: z.array(gypTarget) })]);
const gypFile = z.object({
  variables: z.record(z.string(), words),
  target_defaults: z.object({ cflags: words, cflags_cc: words }),
  targets: z.array(gypTarget),
  conditions: z.array(condition),
});

export interface Compilation {
  /** Relative to native/. */
  readonly source: string;
  readonly flags: readonly string[];
}

/** What GCC says and clang does not know, or says otherwise. */
const inClang: Readonly<Record<string, readonly string[]>> = {
  '-Wno-maybe-uninitialized': [],
  '-march=armv8.2-a+dotprod+fp16': ['-mcpu=generic+v8_2a+dotprod+fullfp16'],
};

/** Each source of the addon with its options as clang takes them; defines of one target hold for all. Throws on a file of another shape. */
export function compilations(text: string, arch: string): Compilation[] {
  const json = text.replaceAll(/#.*$/gm, '').replaceAll(/,(\s*[\]}])/g, '$1');
  const { variables, target_defaults: defaults, targets, conditions } = gypFile.parse(JSON.parse(json));
  const expand = (flags: readonly string[]): string[] =>
    flags.flatMap((flag) => {
      const name = /^<@\((\w+)\)$/.exec(flag)?.[1];
      return name === undefined ? [flag] : expand(variables[name]!);
    });
  const all = [
    ...targets,
    ...conditions.filter(([when]) => when === `target_arch=='${arch}'`).flatMap(([, then]) => then.targets),
  ];
  const defines = all.flatMap((target) => target.defines ?? []).map((name) => `-D${name}`);
  return all.flatMap(({ sources, cflags = [] }) => {
    const flags = expand([...defaults.cflags_cc, ...defaults.cflags, ...cflags]).flatMap(
      (flag) => inClang[flag] ?? [flag],
    );
    return sources.map((source) => ({ source, flags: [...flags, ...defines] }));
  });
}
