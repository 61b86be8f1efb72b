/** The Hugging Face Hub: reaching it, what it refuses, downloads. */
import { bytesInWords } from '../../quantities.ts';
import type { Names } from '../names.ts';
import type { Sentences } from '../sentences.ts';

const checkNetwork = 'Check HF_ENDPOINT and the network, then try again.';
const localWorks = 'Everything that is on this machine works without it.';

/** What OpenSSL calls a chain that ends at nobody who is known; mostly a company's proxy that reads along. */
const untrusted = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];

const networkProblems: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name is not known here; there may be no network',
  EAI_AGAIN: 'its name is not known here; there may be no network',
  ECONNREFUSED: 'nothing answers there',
  ECONNRESET: 'the connection broke off',
  UND_ERR_SOCKET: 'the connection broke off',
  ETIMEDOUT: 'no answer came in time',
  UND_ERR_CONNECT_TIMEOUT: 'no answer came in time',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ...Object.fromEntries(
    untrusted.map((code) => [code, 'its certificate is signed by nobody that this machine trusts']),
  ),
};

export const hub = {
  'hub.endpoint': ({ endpoint }: { endpoint: string }): Sentences => ({
    message: `HF_ENDPOINT is "${endpoint}", which is no http(s) address.`,
    remedy: 'Correct the environment variable, or remove it to use the public Hub.',
  }),
  'hub.no-answer-of-a-hub': ({ host, said }: { host: string; said: string }): Sentences => ({
    message: `${host} answered with something that is no Hub's answer.`,
    reason: said,
    remedy: `A proxy or login page may stand in between. ${checkNetwork}`,
  }),
  'hub.unusable-redirect': ({ host, location }: { host: string; location: string }): Sentences => ({
    message: `${host} sends on to an address that cannot be used.`,
    reason: location,
    remedy: checkNetwork,
  }),
  'hub.circles': ({ host }: { host: string }): Sentences => ({
    message: `${host} sends on in circles.`,
    remedy: checkNetwork,
  }),
  /** `code`: of the operating system or of fetch, where there is one. */
  'hub.unreachable': ({
    host,
    problem,
    code,
  }: {
    host: string;
    problem: string;
    code?: string | undefined;
  }): Sentences => ({
    message: `The Hub cannot be reached at ${host}.`,
    reason: code === undefined ? problem : `${networkProblems[code] ?? problem} (${code})`,
    remedy: untrusted.includes(code ?? '')
      ? `Where a company's proxy stands in between, save its certificate as a .pem file and start Tritsmith with NODE_EXTRA_CA_CERTS=<that file>. ${localWorks}`
      : `Check the network and try again. ${localWorks}`,
  }),
  /** `wait`: seconds, where the server names them. */
  'hub.slow-down': ({ reason, wait }: { reason: string; wait: number | null }): Sentences => ({
    message: 'The Hub asks to slow down.',
    reason,
    remedy: `Try again in ${wait === null ? 'a few minutes' : `${wait} seconds`}; with a token it allows more.`,
  }),
  'hub.trouble': ({ host, reason }: { host: string; reason: string }): Sentences => ({
    message: `${host} has trouble of its own.`,
    reason,
    remedy: `Try again later. ${localWorks}`,
  }),
  'hub.licence': ({ host, reason }: { host: string; reason: string }): Sentences => ({
    message: 'The owner of this model wants its licence accepted first.',
    reason,
    remedy: `Accept it on the model's page at ${host}, then enter an access token of your account.`,
  }),
  'hub.not-found': ({ reason }: { reason: string }): Sentences => ({
    message: 'The Hub has no such public model or file.',
    reason,
    remedy: 'Check the name. A private model needs an access token of its owner.',
  }),
  'hub.no-access': ({ reason, hasToken }: { reason: string; hasToken: boolean }): Sentences => ({
    message: 'The Hub does not accept this access.',
    reason,
    remedy: hasToken
      ? 'Enter another access token: this one is wrong, expired, or may not read this model.'
      : 'Enter an access token of your account.',
  }),
  /** `host`: null for the server of large files that the Hub sends on to. */
  'hub.refused': ({ host, reason }: { host: string | null; reason: string }): Sentences => ({
    message: `${host ?? 'The server of the large files'} refused.`,
    reason,
    remedy: 'Try again.',
  }),
  /** `variable`: of the environment. Its value may hold a password, so it is not shown. */
  /** `variable`: of the environment; null for the setting of the workbench. */
  'network.proxy': ({ variable }: { variable: string | null }): Sentences => ({
    message: `${variable === null ? 'This' : `The environment variable ${variable}`} is no address of a proxy.`,
    remedy: 'It should look like http://proxy.example:8080.',
  }),
  'network.proxy-kind': ({ variable, kind }: { variable: string | null; kind: string }): Sentences => ({
    message: `${variable === null ? 'This address' : `The environment variable ${variable}`} names a proxy of the kind "${kind}", which cannot be used.`,
    reason: 'Only http and https proxies can.',
    remedy: `${
      variable === null
        ? 'Enter the http proxy of your network (http://<name>:<port>).'
        : 'Set HTTPS_PROXY to the http proxy of your network (http://<name>:<port>); it goes before ALL_PROXY.'
    } Or download the model by other means and choose its folder.`,
  }),
  'hub.offline': (): Sentences => ({
    message: 'HF_HUB_OFFLINE is set, so the Hub is not asked.',
    remedy: 'Remove that environment variable to search and download, or choose a folder on this machine.',
  }),
  'hub.not-understood': ({ problems }: { problems: readonly string[] }): Sentences => ({
    message: 'The Hub answered in a way that this version does not understand.',
    reason: problems.join('; '),
    remedy: 'Check HF_ENDPOINT. The model can also be downloaded elsewhere and chosen as a folder.',
  }),
  'hub.no-configuration': ({ id }: { id: string }): Sentences => ({
    message: `${id} has neither config.json nor a GGUF file, so it is no complete model.`,
    remedy: 'Choose another one.',
  }),
  'hub.adapter': ({ id, original }: { id: string; original: string | null }, names: Names): Sentences => ({
    message: `${id} is a LoRA adapter, a small change of ${original ?? 'a base model'}, and not a whole model.`,
    remedy: `Download ${original ?? 'its base'} here and the adapter's folder by other means. ${names.action('adapter.merge')}`,
  }),
  'hub.pickled': ({ id, name }: { id: string; name: string }): Sentences => ({
    message: `${id} has its weights only in pickled form (${name}).`,
    reason: 'Reading such a file can run any program that is hidden in it, so it is not fetched.',
    remedy: 'Choose a model with safetensors weights: others often publish the same one in that form.',
  }),
  'hub-cache.no-snapshot': ({ folder, snapshots }: { folder: string; snapshots: number }): Sentences => ({
    message: `${folder} is a place in the cache of Hugging Face that names no model.`,
    reason:
      snapshots === 0 ? 'It has no snapshot.' : `It has ${snapshots} snapshots, and refs/main names none of them.`,
    remedy: snapshots === 0 ? 'Fetch the model again.' : 'Choose one of the folders in snapshots.',
  }),
  'hub-cache.lacks-blob': ({ folder, name }: { folder: string; name: string }): Sentences => ({
    message: `${name} in ${folder} leads to a file that is not there.`,
    reason: 'The download was not finished, or the cache was cleaned.',
    remedy: 'Fetch the model again.',
  }),
  'hub-cache.link-leads-out': ({ folder, name }: { folder: string; name: string }): Sentences => ({
    message: `${name} in ${folder} is a link that leads out of this model's place in the cache.`,
    reason:
      'Links of the cache lead to the blobs of the same model; this one may show a file that has nothing to do with it.',
    remedy: 'Fetch the model again, from a source that you trust.',
  }),
  'hub.unusable-file': ({ id, name, listed }: { id: string; name: string; listed: boolean }): Sentences => ({
    message: `${id} has no usable ${name}.`,
    reason: listed ? 'the Hub tells no size or checksum for it' : 'the Hub does not list it',
    remedy: 'Choose a model with safetensors weights or a GGUF file.',
  }),
  'hub.unreadable-index': ({ id, index }: { id: string; index: string }): Sentences => ({
    message: `${index} of ${id} cannot be read.`,
    remedy: 'Choose another model.',
  }),
  'hub.odd-weight-file': ({ id, name }: { id: string; name: string }): Sentences => ({
    message: `${id} names a weight file that is refused.`,
    reason: `"${name}" is no plain file name`,
    remedy: 'Choose another model.',
  }),
  /** `needed`, `free`: bytes. */
  'download.no-space': (
    { model, needed, free }: { model: string; needed: number; free: number },
    names: Names,
  ): Sentences => ({
    message: `${model} does not fit on the disk of the workspace.`,
    reason: `${bytesInWords(needed)} are needed, ${bytesInWords(free)} are free.`,
    remedy: `Free some space, or ${names.action('workspace.choose')} on a larger disk.`,
  }),
  'download.stopped': (): Sentences => ({ message: 'The download was stopped.' }),
  'download.does-not-go-on': ({ name }: { name: string }): Sentences => ({
    message: `The server does not go on with ${name} where it broke off.`,
    remedy: 'Try again; the file begins anew.',
  }),
  'download.differs': ({
    id,
    name,
    how,
  }: {
    id: string;
    name: string;
    how: 'changed' | 'longer' | { found: string; expected: string };
  }): Sentences => ({
    message: `${name} of ${id} did not arrive as the Hub describes it.`,
    reason:
      how === 'changed'
        ? 'the Hub names another checksum than a moment ago'
        : how === 'longer'
          ? 'it is longer than the Hub says'
          : `its checksum is ${how.found}, the Hub says ${how.expected}`,
    remedy: 'Try again: the file is fetched anew. If it happens again, a proxy or mirror changes the file.',
  }),
  'download.broke-off': ({ name, reason }: { name: string; reason: string }): Sentences => ({
    message: `The download of ${name} broke off.`,
    reason,
    remedy: 'Try again: it goes on where it ended.',
  }),
};
