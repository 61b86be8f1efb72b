/**
 * The plan of the house (docs/architecture.md, "Rooms"), held against every import: type imports, `import()`, tests, benches and e2e too.
 * A file may import its own room and those listed beside it, which all lie below it.
 */
const rooms = {
  native: [],
  'main/contract': [],
  'main/basics': ['main/contract'],
  'main/experiment': ['main/basics', 'main/contract'],
  'main/formats': ['native', 'main/basics', 'main/contract'],
  'main/graph': ['native', 'main/basics', 'main/contract'],
  'main/models': ['main/graph', 'main/formats', 'native', 'main/basics', 'main/contract'],
  'main/training': ['main/models', 'main/graph', 'main/formats', 'native', 'main/basics', 'main/contract'],
  'main/llama-cpp': ['main/formats', 'native', 'main/basics', 'main/contract'],
  'main/evaluation': ['main/models', 'main/formats', 'native', 'main/basics', 'main/contract'],
  'main/pipeline': [
    'main/training',
    'main/evaluation',
    'main/llama-cpp',
    'main/models',
    'main/graph',
    'main/formats',
    'native',
    'main/experiment',
    'main/basics',
    'main/contract',
  ],
  'main/jobs': ['main/pipeline', 'main/basics', 'main/contract'],
  'main/hub': ['main/basics', 'main/contract'],
  'main/serving': ['main/jobs', 'main/basics', 'main/contract'],
  'main/workbench': ['main/serving', 'main/jobs', 'main/hub', 'main/experiment', 'main/basics', 'main/contract'],
  'main/shell': [
    'main/workbench',
    'main/serving',
    'main/hub',
    'main/jobs',
    'main/experiment',
    'main/basics',
    'main/contract',
  ],
  preload: ['main/contract'],
  renderer: ['main/contract'],
};
/** What makes and drives tests: may see everything below the shells, and nothing that ships may see it. */
const outside = ['main/testing', 'bench', 'e2e', '\\.ci/packaging', 'resources'];
const test = '\\.test\\.ts$|/fixtures/|/golden/';

/** All rooms below this one. */
const allBelow = (room) => [...new Set(rooms[room].flatMap((below) => [below, ...allBelow(below)]))];

const importsDown = (room, below, from) => ({
  name: `${room}-imports-down`,
  severity: 'error',
  from,
  to: {
    path: '^(main|native|renderer|preload|bench|e2e|\\.ci/packaging|resources)/',
    pathNot: [`^(${[room, ...below].join('|')})/`, '^resources/demo/'],
  },
});

export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'found', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...Object.entries(rooms).flatMap(([room, below]) => [
      importsDown(room, below, { path: `^${room}/`, pathNot: test }),
      // A test may look through to the ground floor: a worker that it starts has the whole house below it.
      {
        ...importsDown(room, [...allBelow(room), 'main/testing'], { path: [`^${room}/.*(${test})`] }),
        name: `tests-of-${room}-look-down`,
      },
    ]),
    {
      name: 'native-stands-alone',
      comment:
        'Its tests and its golden files too: native/golden/student-files.ts is the oracle for what main/formats writes.',
      severity: 'error',
      from: { path: '^native/' },
      to: { path: '^(main|renderer|preload|bench|e2e|\\.ci/packaging|resources)/' },
    },
    {
      name: 'nothing-ships-test-helpers',
      severity: 'error',
      from: { path: '^(main|native|renderer|preload)/', pathNot: [test, '^main/testing/'] },
      to: { path: `^(${outside.join('|')})/|${test}` },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(node_modules|out|native/build|\\.cache)' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      extensions: ['.ts', '.vue', '.mjs', '.js'],
      conditionNames: ['types', 'import', 'node', 'default'],
    },
  },
};
