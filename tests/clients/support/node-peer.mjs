import { fileURLToPath } from 'node:url';

import { processPeer } from './process.mjs';

const CLIENT = fileURLToPath(new URL('node-client.mjs', import.meta.url));

/**
 * Client builds that run in Node, a process each; `open` of `behaviours`.
 *
 * @param {{ library: string, adapter?: string }} build the packages, named as in package.json
 */
export const nodePeer = (build) => (stage, name) =>
  processPeer(name, process.execPath, [CLIENT, JSON.stringify(build)], stage);

export const cometd9 = nodePeer({ library: 'cometd-9', adapter: 'cometd-nodejs-client-2' });
export const faye14 = nodePeer({ library: 'faye-1.4' });
