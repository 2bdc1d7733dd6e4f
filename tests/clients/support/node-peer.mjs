import { fileURLToPath } from 'node:url';

import { processPeer } from './process.mjs';

const CLIENT = fileURLToPath(new URL('node-client.mjs', import.meta.url));

/**
 * Client builds that run in Node, a process each; `open` of `behaviours`.
 *
 * @param {{ library: string, adapter?: string, ahead?: number }} build the packages, named as in
 *   package.json, and how far its clock is ahead (ms)
 */
export const nodePeer = (build) => (stage, name) =>
  processPeer(name, process.execPath, [CLIENT, JSON.stringify(build)], stage);

export const COMETD_3 = { library: 'cometd-3', adapter: 'cometd-nodejs-client-1.1' };
export const COMETD_7 = { library: 'cometd-7', adapter: 'cometd-nodejs-client-1.5' };
export const COMETD_9 = { library: 'cometd-9', adapter: 'cometd-nodejs-client-2' };

export const cometd9 = nodePeer(COMETD_9);
export const faye14 = nodePeer({ library: 'faye-1.4' });
