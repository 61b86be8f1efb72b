/** Programs of others that are fetched on demand. */
import type { Sentences } from '../sentences.ts';

const without = 'Everything else works without it.';

export const components = {
  'component.disk-full': ({ name, megabytes }: { name: string; megabytes: number }): Sentences => ({
    message: `The disk is full, so ${name} could not be installed.`,
    reason: `It takes about ${megabytes} MB, and npm’s cache keeps what it downloaded.`,
    remedy:
      'Free some space on the disk of the components folder and of npm’s cache, then try again. Everything else works without it.',
  }),
  'component.not-installable': ({
    name,
    why,
  }: {
    name: string;
    why: 'network' | 'certificate' | 'integrity' | 'npm';
  }): Sentences => ({
    message: `${name} could not be installed.`,
    reason: {
      network: 'The package registry could not be reached.',
      certificate: 'The package registry shows a certificate that is signed by nobody whom npm trusts.',
      integrity: 'What was downloaded is not what was expected (EINTEGRITY).',
      npm: 'npm ended with an error.',
    }[why],
    remedy:
      why === 'certificate'
        ? `${without} Where a company's proxy stands in between, save its certificate as a .pem file and start Tritsmith with NODE_EXTRA_CA_CERTS=<that file>.`
        : `${without} Connect to the internet, then try again.`,
  }),
  'component.no-binary': ({
    name,
    platform,
    processor,
  }: {
    name: string;
    platform: string;
    processor: string;
  }): Sentences => ({
    message: `${name} cannot be installed here.`,
    reason: `There is no ready-made binary for ${platform} on ${processor} processors.`,
    remedy: without,
  }),
  'component.no-npm': ({ name, problem }: { name: string; problem: string }): Sentences => ({
    message: `npm could not be started, so ${name} cannot be installed.`,
    reason: problem,
    remedy: 'Install Node.js with npm, then try again.',
  }),
  'component.install-cancelled': ({ name }: { name: string }): Sentences => ({
    message: `Installing ${name} was cancelled; nothing was left behind.`,
  }),
};
