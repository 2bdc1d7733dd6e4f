import { behaviours } from './support/behaviour.mjs';
import { COMETD_3, COMETD_7, cometd9, faye14, nodePeer } from './support/node-peer.mjs';

const cometd = {
  'cometd 3.1.14': nodePeer(COMETD_3),
  'cometd 7.0.19': nodePeer(COMETD_7),
  'cometd 9.0.0': cometd9,
};
/** Faye 1.1 fails on a request above its batch size of 2048 characters. */
const LARGEST = { 'faye 1.1.3': 1_000 };

const faye = {
  'faye 1.0.3': nodePeer({ library: 'faye-1.0' }),
  'faye 1.1.3': nodePeer({ library: 'faye-1.1' }),
  'faye 1.2.4': nodePeer({ library: 'faye-1.2' }),
  'faye 1.3.0': nodePeer({ library: 'faye-1.3' }),
  'faye 1.4.3': faye14,
};

/** Faye makes its handshake by HTTP, and its WebSockets by other means than are watched. */
const overWebSocket = {
  transport: 'websocket',
  transports: ['websocket', 'long-polling'],
  watched: false,
};

for (const [build, start] of Object.entries(cometd)) {
  behaviours({ name: `${build} in Node`, open: start, transport: 'long-polling' });
}
// The adapter of cometd 3.1.14 has no WebSocket.
for (const build of ['cometd 7.0.19', 'cometd 9.0.0']) {
  const name = `${build} in Node over WebSocket`;
  behaviours({ name, open: cometd[build], transport: 'websocket' });
}
for (const [build, start] of Object.entries(faye)) {
  const client = { open: start, resubscribes: true };
  behaviours({
    name: `${build} in Node`,
    transport: 'long-polling',
    largest: LARGEST[build],
    ...client,
  });
  behaviours({ name: `${build} in Node over WebSocket`, ...overWebSocket, ...client });
}

// These find out that the server has no WebSocket, and use long-polling.
const fallBack = {
  transport: 'long-polling',
  transports: ['websocket', 'long-polling'],
  settings: ['bayeux.transports=["long-polling", "callback-polling"]'],
};
behaviours({
  name: 'cometd 9.0.0 in Node, preferring WebSocket in vain',
  open: cometd['cometd 9.0.0'],
  ...fallBack,
});
behaviours({
  name: 'faye 1.2.4 in Node, preferring WebSocket in vain',
  open: faye['faye 1.2.4'],
  resubscribes: true,
  ...fallBack,
});
