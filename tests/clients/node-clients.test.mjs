import { fileURLToPath } from 'node:url';

import { behaviours } from './support/behaviour.mjs';
import { processPeer } from './support/process.mjs';

const CLIENT = fileURLToPath(new URL('support/node-client.mjs', import.meta.url));
const open = (build) => (stage, name) =>
  processPeer(name, process.execPath, [CLIENT, JSON.stringify(build)], stage);

const cometd = {
  'cometd 3.1.14': open({ library: 'cometd-3', adapter: 'cometd-nodejs-client-1.1' }),
  'cometd 7.0.19': open({ library: 'cometd-7', adapter: 'cometd-nodejs-client-1.5' }),
  'cometd 9.0.0': open({ library: 'cometd-9', adapter: 'cometd-nodejs-client-2' }),
};
/** Faye 1.1 fails on a message above its batch size of 2048 characters. */
const LARGEST = { 'faye 1.1.3': 1_000 };

const faye = {
  'faye 1.0.3': open({ library: 'faye-1.0' }),
  'faye 1.1.3': open({ library: 'faye-1.1' }),
  'faye 1.2.4': open({ library: 'faye-1.2' }),
  'faye 1.3.0': open({ library: 'faye-1.3' }),
  'faye 1.4.3': open({ library: 'faye-1.4' }),
};
const transport = 'long-polling';

for (const [build, start] of Object.entries(cometd)) {
  behaviours({ name: `${build} in Node`, open: start, transport });
}
for (const [build, start] of Object.entries(faye)) {
  behaviours({
    name: `${build} in Node`,
    open: start,
    transport,
    resubscribes: true,
    largest: LARGEST[build],
  });
}

// The server has no WebSocket transport: these find out and use long-polling.
const transports = ['websocket', 'long-polling'];
behaviours({
  name: 'cometd 9.0.0 in Node, preferring WebSocket',
  open: cometd['cometd 9.0.0'],
  transport,
  transports,
});
behaviours({
  name: 'faye 1.2.4 in Node, preferring WebSocket',
  open: faye['faye 1.2.4'],
  transport,
  transports,
  resubscribes: true,
});
