import eslint from '@eslint/js';
import pluginVue from 'eslint-plugin-vue';
import tseslint from 'typescript-eslint';
import vueParser from 'vue-eslint-parser';

/** One hand in the whole house: `#private`, camelCase constants, `type` inside the braces of an import. The rooms are .dependency-cruiser.mjs's. */
const style = {
  '@typescript-eslint/no-non-null-assertion': 'off',
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
  '@typescript-eslint/naming-convention': [
    'error',
    { selector: 'variable', format: ['camelCase', 'PascalCase'] },
    { selector: 'typeLike', format: ['PascalCase'] },
    { selector: 'function', format: ['camelCase'] },
    { selector: 'classProperty', format: ['camelCase'] },
  ],
  'no-duplicate-imports': ['error', { allowSeparateTypeImports: false }],
  'no-restricted-syntax': [
    'error',
    {
      selector: ':matches(PropertyDefinition, MethodDefinition)[accessibility="private"][kind!="constructor"]',
      message: 'Write #name: it is private at run time too.',
    },
  ],
};

/** Rules that need types: a program of processes and streams must not lose a promise. */
const types = {
  // Objects here are closures as often as classes, and their functions are meant to be taken out.
  '@typescript-eslint/unbound-method': 'off',
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  // Messages quote what a file says as it is.
  '@typescript-eslint/no-base-to-string': 'off',
  // An interface may promise what one implementation has at once.
  '@typescript-eslint/require-await': 'off',
};

export default tseslint.config(
  { ignores: ['node_modules/', '**/build/', 'out/', 'dist/', 'resources/demo/', '.cache/'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strict, tseslint.configs.stylistic, tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: { ...style, ...types },
  },
  {
    // Untyped values: what tests parse, and two libraries whose declarations Node's resolution cannot follow.
    files: [
      '**/*.test.ts',
      'e2e/**/*.ts',
      'main/formats/tokenizers/tokenizer.ts',
      'main/formats/tokenizers/jinja-renderer.ts',
      'renderer/*.ts',
    ],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
    },
  },
  ...pluginVue.configs['flat/essential'],
  {
    files: ['**/*.vue'],
    extends: [tseslint.configs.strict, tseslint.configs.stylistic],
    languageOptions: { parser: vueParser, parserOptions: { parser: tseslint.parser, sourceType: 'module' } },
    rules: {
      ...style,
      // vue-tsc knows the browser's names better.
      'no-undef': 'off',
    },
  },
  { files: ['**/*.mjs', '**/*.js'], languageOptions: { globals: { process: 'readonly', console: 'readonly' } } },
);
