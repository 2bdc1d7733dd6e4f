import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { Gate } from './support/gate.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';

let browser;
const pages = await serveStatic();
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await pages.close();
});

const settings = [`http.allowed_origins=["${pages.origin}"]`];
const sameOrigin = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const crossOrigin = (page) => (stage, name) =>
  browserPeer(stage, name, browser, `${page}?server=${stage.server.origin}`, pages.origin);

const STREAMED = { renewing: 'streaming.lifetime=500ms' };
// Chromium may say that a request was aborted whose response, which is not to be stored, was read to
// its end as a stream.
const FETCHED = { ...STREAMED, watched: false };
const PLUGINS = [
  { transport: 'xhr-streaming', ...FETCHED },
  { transport: 'multipart', ...FETCHED },
  { transport: 'iframe', crosses: false, ...STREAMED },
  {
    transport: 'eventsource',
    // The stream is a request as well.
    watched: false,
    // What ends a connect, so that the next is sent.
    renewing: 'bayeux.timeout=500ms',
  },
];

for (const { transport, crosses = true, renewing, ...variant } of PLUGINS) {
  for (const [name, page] of [
    ['cometd 9.0.0', 'cometd-plugins.html'],
    ['cometd 7.0.19', 'cometd-7-plugins.html'],
    ['cometd 3.1.14', 'cometd-3-plugins.html'],
  ]) {
    behaviours({
      name: `${name} in a browser with the plug-in ${transport}`,
      open: sameOrigin(page),
      transport,
      ...variant,
    });
  }
  if (!crosses) continue;
  behaviours({
    name: `cometd 9.0.0 in a browser with the plug-in ${transport}, cross-origin`,
    open: crossOrigin('cometd-plugins.html'),
    transport,
    settings,
    ...variant,
  });
}

/** Shorter than the silence after which a frame counts as broken. */
const HEARTBEATS = 'streaming.heartbeat_interval=100ms';
const range = (first, count) => Array.from({ length: count }, (_, index) => first + index);

const isAborted = (reason) => reason.endsWith('net::ERR_ABORTED');

/** A client behind a gate, and another that publishes to it without one. */
async function meet(stage, transport) {
  const gate = stage.add(await Gate.start(stage.server.origin));
  const behind = {
    server: { origin: gate.origin, url: `${gate.origin}/cometd` },
    log: (line) => stage.log(line),
  };
  const bob = stage.add(await sameOrigin('cometd-plugins.html?silence=500')(behind, 'bob'));
  assert.equal(await bob.connect(behind.server.url, { transports: [transport] }), transport);
  await bob.subscribe('/news');
  const alice = await RawSession.open(stage.server.url);
  const publishAll = async (numbers) => {
    for (const number of numbers) await alice.ask('/news', { data: number });
  };
  const receiveAll = async (numbers) => {
    await bob.until('all messages', () => bob.messages.length >= numbers.length);
    const received = bob.messages.splice(0);
    assert.deepEqual(received.map(({ data }) => data), numbers);
  };
  return { gate, bob, publishAll, receiveAll };
}

for (const { transport, renewing, watched = true } of PLUGINS) {
  describe(`cometd 9.0.0 with the plug-in ${transport}`, () => {
    test('hears 1,000 messages in order, over many connects', () =>
      onStage([HEARTBEATS, renewing], async (stage) => {
        const { bob, publishAll, receiveAll } = await meet(stage, transport);
        const responses = bob.statuses.length;
        let next = 0;
        const renewed = () => bob.statuses.length >= responses + 4;
        while (next < 1_000 || !renewed()) {
          await publishAll(range(next, 100));
          next += 100;
        }
        await receiveAll(range(0, next));
        const failures = bob.failures.filter((reason) => watched || !isAborted(reason));
        assert.deepEqual(failures, []);
        assert.equal(bob.reconnections, 0);
      }));

    test('hears at once what is published while a connect is open', () =>
      onStage([HEARTBEATS], async (stage) => {
        const { bob, publishAll, receiveAll } = await meet(stage, transport);
        await publishAll([0]);
        await receiveAll([0]);
        const responses = bob.statuses.length;
        for (const round of range(1, 20)) {
          await publishAll([round]);
          await receiveAll([round]);
        }
        assert.equal(bob.statuses.length, responses, 'one connect carries them all');
      }));

    test('has no request any more once it has disconnected', () =>
      onStage([HEARTBEATS], async (stage) => {
        const { bob, publishAll, receiveAll } = await meet(stage, transport);
        await publishAll([1]);
        await receiveAll([1]);
        assert.ok(bob.inFlight > 0);
        await bob.disconnect();
        await bob.until('all requests to end', () => bob.inFlight === 0);
      }));

    test('gets what it missed while it was cut off, in its old session', () =>
      onStage([HEARTBEATS], async (stage) => {
        const { gate, bob, publishAll, receiveAll } = await meet(stage, transport);
        for (const round of range(1, 3)) {
          const before = range(round * 100, 5);
          const missed = range(round * 100 + 10, 20);
          await publishAll(before);
          await receiveAll(before);
          gate.shut();
          await publishAll(missed);
          gate.open();
          await receiveAll(missed);
        }
        assert.equal(bob.reconnections, 0);
      }));
  });
}

describe('cometd 9.0.0 with plug-ins, by its own order,', () => {
  const transports = PLUGINS.map(({ transport }) => transport).concat('long-polling');
  const chosen = async (stage, open) =>
    stage.add(await open(stage, 'alice')).connect(stage.server.url, { transports });
  const same = sameOrigin('cometd-plugins.html');
  const cross = crossOrigin('cometd-plugins.html');

  test('takes the first that the server has', () =>
    onStage([], async (stage) => {
      assert.equal(await chosen(stage, same), 'xhr-streaming');
    }));

  test('polls where the server has none of them', () =>
    onStage(['bayeux.transports=["long-polling"]'], async (stage) => {
      assert.equal(await chosen(stage, same), 'long-polling');
    }));

  test('has no frame on pages of other sites', () =>
    onStage([...settings, 'bayeux.transports=["iframe", "long-polling"]'], async (stage) => {
      assert.equal(await chosen(stage, cross), 'long-polling');
    }));
});
