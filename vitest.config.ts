import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The longest files, longest first: started first, they leave no worker alone with a long rest. The others follow as vitest knows them. */
const longest = [
  // Both only where MPI is installed.
  'e2e/cluster.test.ts',
  'main/jobs/ranks.test.ts',
  'bench/faults.test.ts',
  'e2e/journey.test.ts',
  'bench/fuzz.test.ts',
  'native/sanitizers.test.ts',
  'main/jobs/pipeline.test.ts',
  'main/shell/cli/kill-and-resume.test.ts',
  'e2e/generation.test.ts',
  '.ci/packaging/proof.test.ts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = longest.findIndex((name) => moduleId.endsWith(name));
      return found < 0 ? longest.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: [
      'main/**/*.test.ts',
      'native/**/*.test.ts',
      'bench/**/*.test.ts',
      'resources/**/*.test.ts',
      'renderer/**/*.test.ts',
      'e2e/**/*.test.ts',
      '.ci/packaging/**/*.test.ts',
    ],
    globalSetup: ['main/testing/llama-cpp.ts', 'main/testing/webgpu.ts'],
    pool: 'forks',
    // One more than the two cores that it is made for: many tests wait, for a browser, a helper or a clock.
    maxWorkers: 3,
    // Helper threads of V8 (compiling, collecting) only take turns with the other files then: a tenth of their processor time.
    execArgv: ['--single-threaded'],
    sequence: { sequencer: LongestFirst },
    // Tests wait for what must come, not for times; these only end what never comes, on a busy machine too.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 120_000 } },
    // As the launcher does it: the hundreds of processes that tests start need not compile their code again.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.tritsmith/compiled', import.meta.url)) },
  },
});
