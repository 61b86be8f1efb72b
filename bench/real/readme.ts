/** The README's table of pretrained models: the accuracies of every section of docs/results.md that this benchmark wrote. */

const sections =
  /<!-- written by: npm run bench -- real --model \S+ --task \S+ --rows (\d+) \((.*)\) -->\n+## (.+)\n([^]*?)<!-- end of: real /g;

const head = ['model, task', 'rows', 'teacher', 'teacher in 4 bits', 'BitNet-SFT', 'BitDistill', 'cut', 'file'];

/** @param results the text of docs/results.md @returns cells, the first row is the head */
export function pretrainedModels(results: string): string[][] {
  const lines = [...results.matchAll(sections)].map(([, rows = '', settings = '', title = '', text = '']) => {
    const cells = new Map(
      [...text.matchAll(/^\| (\S.*) \|$/gm)]
        .map(([, line = '']) => line.split(' | ').map((cell) => cell.trim()))
        // The first table of a section is the one that has these names; files and stages have others.
        .filter(([name = '']) =>
          /^(teacher|teacher, 4-bit.*|BitNet-SFT|BitDistill|BitDistill, cut to \d+ layers)$/.test(name),
        )
        .map((line): [string, string[]] => [line[0]!, line]),
    );
    const accuracy = (line: string[] | undefined): string => line?.[1] ?? '';
    const cut = [...cells].find(([name]) => name.startsWith('BitDistill, cut'));
    const once = settings.includes('reconstruct.epochs=1') ? ', one pass of reconstruction' : '';
    const short = settings.includes('distil.epochs=1') ? ' and of distillation' : '';
    return [
      title.replace(' on ', ', '),
      `${Number(rows).toLocaleString('en')}${once}${short}`,
      accuracy(cells.get('teacher')),
      accuracy(cells.get('teacher, 4-bit (Q4_0)')),
      accuracy(cells.get('BitNet-SFT')),
      accuracy(cells.get('BitDistill')),
      cut === undefined ? '' : `${accuracy(cut[1])} (${/\d+/.exec(cut[0])![0]} layers)`,
      `${cells.get('teacher')?.[5] ?? ''} → ${cells.get('BitDistill')?.[5] ?? ''}`,
    ];
  });
  return [head, ...lines];
}
