import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { AIOCOMETD } from './support/aiocometd-peer.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { Cluster, shared } from './support/cluster.mjs';
import { COMETD_3, COMETD_7, cometd9, faye14, nodePeer } from './support/node-peer.mjs';
import { PLUGINS } from './support/plugins.mjs';
import { RawSession } from './support/requests.mjs';
import { onStageOf } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';

/** Clients that are there at once; most of their time they wait for each other. */
const AT_ONCE = 3;
const MESSAGES = 30;

let browser;
let cluster;
const pages = await serveStatic();
before(async () => {
  browser = await launch();
  cluster = await Cluster.start([
    `http.allowed_origins=["${pages.origin}"]`,
    'streaming.heartbeat_interval=1s',
    // A busy machine may keep a client from its session for long.
    'bayeux.max_interval=1m',
  ]);
});
after(async () => {
  await browser?.close();
  await pages.close();
  await cluster?.stop();
});

const inBrowser = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const crossOrigin = (page) => (stage, name) => browserPeer(stage, name, browser, page, pages.origin);

const polls = { transport: 'long-polling' };
const socket = { transport: 'websocket' };
/** Faye makes its handshake by HTTP. */
const fayeSocket = { transport: 'websocket', transports: ['websocket', 'long-polling'] };
const jsonp = { transport: 'callback-polling' };

const inNode = [
  ['cometd 3.1.14', nodePeer(COMETD_3), polls],
  ['cometd 7.0.19', nodePeer(COMETD_7), polls],
  ['cometd 7.0.19', nodePeer(COMETD_7), socket],
  ['cometd 9.0.0', cometd9, polls],
  ['cometd 9.0.0', cometd9, socket],
  ['cometd 9.0.0 with ack', cometd9, { ...polls, extensions: ['Ack'] }],
  ['cometd 9.0.0 with ack', cometd9, { ...socket, extensions: ['Ack'] }],
  ['faye 1.0.3', nodePeer({ library: 'faye-1.0' }), polls],
  ['faye 1.4.3', faye14, polls],
  ['faye 1.4.3', faye14, fayeSocket],
];
const inPython = AIOCOMETD.flatMap(({ build, open, skip }) => [
  [build, open, { ...polls, skip }],
  [build, open, { ...socket, skip }],
]);
const inChromium = [
  ['cometd 9.0.0', inBrowser('cometd.html'), polls],
  ['cometd 9.0.0', inBrowser('cometd.html'), socket],
  ['cometd 9.0.0, cross-origin', crossOrigin('cometd.html'), polls],
  ['cometd 9.0.0, cross-origin', crossOrigin('cometd.html'), jsonp],
  ['cometd-jquery 3.0.0', inBrowser('cometd-jquery.html'), polls],
  ['cometd-jquery 3.0.0, cross-origin', crossOrigin('cometd-jquery.html'), jsonp],
  ['dojox.cometd 1.6', inBrowser('dojox-1.6.html'), polls],
  ['dojox.cometd 1.6, cross-origin', crossOrigin('dojox-1.6.html'), jsonp],
  ['dojox.cometd 1.7', inBrowser('dojox-1.7.html'), polls],
  ['dojox.cometd 1.7, cross-origin', crossOrigin('dojox-1.7.html'), jsonp],
  ['faye 1.4.3', inBrowser('faye.html'), polls],
  ['faye 1.4.3', inBrowser('faye.html'), fayeSocket],
  ['faye 1.4.3', inBrowser('faye.html'), { transport: 'eventsource', transports: ['eventsource', 'long-polling'] }],
  ['faye 1.4.3, cross-origin', crossOrigin('faye.html'), jsonp],
  ...PLUGINS.map(({ transport }) => ['cometd 9.0.0', inBrowser('cometd-plugins.html'), { transport }]),
];

let room = 0;

/**
 * Takes the messages that a client gets of these, in order; or `whichever` comes first, as events on the reply to a
 * publish may overtake those of a connect.
 */
async function takes(peer, channel, all, whichever) {
  await peer.until(`${all.length} messages`, () => peer.messages.length >= all.length);
  const messages = peer.messages.splice(0);
  if (whichever) messages.sort((one, other) => one.data.number - other.data.number);
  assert.deepEqual(messages, all.map((data) => ({ channel, data })));
}

/** Two clients meet in a room of their own, publish to each other, many messages in order, and leave. */
async function meet(stage, open, { transport, transports = [transport], extensions = [] }) {
  room += 1;
  const channel = `/chat/${room}`;
  const [alice, bob] = await Promise.all(
    ['alice', 'bob'].map(async (name) => {
      const peer = stage.add(await open(stage, name));
      assert.equal(await peer.connect(stage.server.url, { transports, extensions }), transport);
      await peer.subscribe(channel);
      return peer;
    }),
  );
  const numbers = Array.from({ length: MESSAGES }, (_, number) => ({ number }));
  for (const data of numbers) await alice.publish(channel, data);
  const polls = ['long-polling', 'callback-polling'].includes(transport) && extensions.length === 0;
  await takes(alice, channel, numbers, polls);
  await takes(bob, channel, numbers);
  await bob.publish(channel, { from: 'bob' });
  for (const peer of [alice, bob]) await takes(peer, channel, [{ from: 'bob' }]);
  await bob.disconnect();
  await alice.publish(channel, 'last');
  assert.deepEqual(await alice.receive(), { channel, data: 'last' });
  await alice.disconnect();
  for (const peer of [alice, bob]) {
    assert.deepEqual([peer.messages, peer.reconnections], [[], 0]);
  }
}

/** Runs `play` with the cluster that all tests share. */
const inCluster = (play) =>
  onStageOf(shared(cluster), async (stage) => {
    try {
      await play(stage);
    } catch (error) {
      await cluster.readLogs();
      throw error;
    }
  });

describe('three nodes behind nginx, each request at the next', { concurrency: AT_ONCE }, () => {
  for (const [place, clients] of Object.entries({ Node: inNode, Python: inPython, Chromium: inChromium })) {
    for (const [build, open, { skip, ...variant }] of clients) {
      test(`${build} in ${place} by ${variant.transport}`, { skip }, () =>
        inCluster((stage) => meet(stage, open, variant)));
    }
  }

  test('EventSource in Chromium', () =>
    inCluster(async (stage) => {
      const bob = stage.add(await inBrowser('event-source.html')(stage, 'bob'));
      await bob.connect(`${stage.server.origin}/events?channel=/chat/events`);
      const alice = await RawSession.open(stage.server.url);
      for (let number = 0; number < MESSAGES; number += 1) {
        await alice.ask('/chat/events', { data: number });
      }
      for (let number = 0; number < MESSAGES; number += 1) {
        const { channel, data } = await bob.receive();
        assert.deepEqual([channel, data.data], ['message', number]);
      }
      assert.deepEqual([bob.messages, bob.reconnections], [[], 0]);
    }));
});
