import eslint from '@eslint/js';
import pluginVue from 'eslint-plugin-vue';
import tseslint from 'typescript-eslint';
import vueParser from 'vue-eslint-parser';

/** The rooms from the ground up (docs/architecture.md) and what each may import; `jobs` is reached only through its protocol. */
const rooms = {
  native: [],
  'main/contract': [],
  'main/formats': ['native', 'main/contract'],
  'main/graph': ['native', 'main/contract'],
  'main/models': ['main/graph', 'main/formats', 'native', 'main/contract'],
  'main/training': ['main/models', 'main/graph', 'main/formats', 'native', 'main/contract'],
  'main/evaluation': ['main/models', 'main/formats', 'native', 'main/contract'],
  'main/pipeline': [
    'main/training',
    'main/evaluation',
    'main/models',
    'main/graph',
    'main/formats',
    'native',
    'main/contract',
  ],
  'main/jobs': ['main/pipeline', 'main/contract'],
  'main/hub': ['main/contract'],
  'main/workbench': ['main/contract', 'main/jobs', 'main/hub'],
  'main/shell': ['main/workbench', 'main/hub', 'main/contract', 'main/jobs'],
  preload: ['main/contract'],
  renderer: ['main/contract'],
};
const all = Object.keys(rooms);
const depth = (room) => room.split('/').length;

/** An import of room `to` from a file of room `from`, at any depth of folders. */
function forbidden(from, to) {
  const tail = to.startsWith('main/') && from.startsWith('main/') ? to.slice('main/'.length) : to;
  const ups = from.startsWith('main/') && !to.startsWith('main/') ? '(\\.\\./){2,}' : '(\\.\\./)+';
  return { regex: `^${ups}${tail}(/|$)`, message: `${from} may not import ${to} (docs/architecture.md, "Rooms").` };
}

export default tseslint.config(
  { ignores: ['node_modules/', '**/build/', 'out/', 'resources/demo/', '.cache/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strict, tseslint.configs.stylistic],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  ...pluginVue.configs['flat/essential'],
  {
    files: ['**/*.vue'],
    extends: [tseslint.configs.strict, tseslint.configs.stylistic],
    languageOptions: { parser: vueParser, parserOptions: { parser: tseslint.parser, sourceType: 'module' } },
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      // vue-tsc knows the browser's names better.
      'no-undef': 'off',
    },
  },
  ...all.map((room) => ({
    files: [`${room}/**/*.ts`, `${room}/**/*.vue`],
    ignores: [`${room}/**/*.test.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: all
            .filter((other) => other !== room && !rooms[room].includes(other) && depth(other) > 0)
            .map((other) => forbidden(room, other)),
        },
      ],
    },
  })),
  { files: ['**/*.mjs', '**/*.js'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
