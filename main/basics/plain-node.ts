/** The pinned Node on which workers run, from every shell: also where this process is a part of Electron. */

/** The running Node; within Electron the one that `TRITSMITH_NODE` names (the shell sets it), else the first on the PATH. */
export function plainNode(): string {
  return process.versions['electron'] === undefined ? process.execPath : (process.env['TRITSMITH_NODE'] ?? 'node');
}

/** Names that would turn Electron into something else, or that Electron's V8 cannot read what another one left in. */
const notForElectron = ['ELECTRON_RUN_AS_NODE', 'NODE_OPTIONS', 'NODE_COMPILE_CACHE'];

/**
 * The environment of an Electron that is started from `node`: without what would make a plain Node of it, and with what its workers need to know. Where
 * Node keeps compiled code goes under a name of its own.
 */
export function environmentForElectron(env: NodeJS.ProcessEnv, node: string): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(Object.entries(env).filter(([name]) => !notForElectron.includes(name.toUpperCase())));
  const cache = env['NODE_COMPILE_CACHE'];
  return { ...kept, TRITSMITH_NODE: node, ...(cache === undefined ? {} : { TRITSMITH_COMPILED: cache }) };
}

/** The environment of a plain Node that is started from here: the former, undone. */
export function environmentForNode(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const cache = env['TRITSMITH_COMPILED'];
  return cache === undefined ? env : { ...env, NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? cache };
}
