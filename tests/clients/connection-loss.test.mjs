import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { Gate } from './support/gate.mjs';
import { cometd9, faye14 } from './support/node-peer.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';
import { within } from './support/within.mjs';

let browser;
const pages = await serveStatic();
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await pages.close();
});

const settings = [
  `http.allowed_origins=["${pages.origin}"]`,
  'eventsource.retry=100ms',
];
const inBrowser = (page) => (stage, name) => browserPeer(stage, name, browser, page, pages.origin);

const clients = {
  'cometd 9.0.0 in Node': cometd9,
  'cometd 9.0.0 in a browser': inBrowser('cometd.html'),
  'faye 1.4.3 in Node': faye14,
};
const transports = ['websocket', 'long-polling'];

/** A gate before the server, one client behind it, and another that publishes to that one. */
async function meet(stage, open, { letsUpgrade = true } = {}) {
  const gate = stage.add(await Gate.start(stage.server.origin));
  gate.letsUpgrade = letsUpgrade;
  const bob = stage.add(await open(stage, 'bob'));
  const transport = await bob.connect(`${gate.origin}/cometd`, { transports });
  assert.equal(transport, letsUpgrade ? 'websocket' : 'long-polling');
  await bob.subscribe('/news');
  const alice = await RawSession.open(stage.server.url);
  const publish = (data) => alice.ask('/news', { data });
  return { gate, bob, publish };
}

/** Publishes numbered messages. */
async function publishAll(publish, numbers) {
  for (const number of numbers) await publish(number);
}

/** Receives exactly these. */
async function receiveAll(peer, numbers) {
  for (const number of numbers) assert.equal((await peer.receive()).data, number);
  assert.deepEqual(peer.messages, []);
}

const range = (first, count) => Array.from({ length: count }, (_, index) => first + index);

for (const [name, open] of Object.entries(clients)) {
  describe(`${name} over WebSocket`, () => {
    test('gets what it missed while it was cut off, in its old session', () =>
      onStage(settings, async (stage) => {
        const { gate, bob, publish } = await meet(stage, open);
        for (const round of range(1, 3)) {
          const before = range(round * 100, 5);
          const missed = range(round * 100 + 10, 20);
          await publishAll(publish, before);
          await receiveAll(bob, before);
          gate.shut();
          await publishAll(publish, missed);
          gate.open();
          await receiveAll(bob, missed);
        }
        assert.equal(bob.reconnections, 0);
      }));

    test('waits for WebSockets to be let through again', () =>
      onStage(settings, async (stage) => {
        const { gate, bob, publish } = await meet(stage, open);
        gate.letsUpgrade = false;
        gate.cut();
        await within('an attempt', gate.knock());
        await publishAll(publish, [1, 2, 3]);
        gate.letsUpgrade = true;
        await receiveAll(bob, [1, 2, 3]);
        assert.equal(bob.reconnections, 0);
      }));

    test('polls if none was ever let through', () =>
      onStage(settings, async (stage) => {
        const { bob, publish } = await meet(stage, open, { letsUpgrade: false });
        await publishAll(publish, [1, 2, 3]);
        await receiveAll(bob, [1, 2, 3]);
      }));
  });
}

describe('an EventSource', () => {
  const meetStream = async (stage) => {
    const gate = stage.add(await Gate.start(stage.server.origin));
    const bob = stage.add(await inBrowser('event-source.html')(stage, 'bob'));
    await bob.connect(`${gate.origin}/events?channel=/news&channel=/chat/**`);
    const alice = await RawSession.open(stage.server.url);
    return { gate, bob, alice };
  };

  test('gets what it missed while it was cut off, with the numbers that follow', () =>
    onStage(settings, async (stage) => {
      const { gate, bob, alice } = await meetStream(stage);
      let session;
      let last = 0;
      const channelOf = (number) => (number % 2 ? '/news' : '/chat/room');
      const publish = (number) => alice.ask(channelOf(number), { data: number });
      const receive = async (numbers) => {
        for (const number of numbers) {
          const { channel, data } = await bob.receive();
          last += 1;
          session ??= data.id.split('-')[0];
          const heard = { id: `${session}-${last}`, channel: channelOf(number), data: number };
          assert.deepEqual({ channel, data }, { channel: 'message', data: heard });
        }
        assert.deepEqual(bob.messages, []);
      };
      for (const round of range(1, 3)) {
        const before = range(round * 100, 5);
        const missed = range(round * 100 + 10, 20);
        await publishAll(publish, before);
        await receive(before);
        gate.shut();
        await publishAll(publish, missed);
        gate.open();
        await receive(missed);
      }
    }));

  test('hears of a gap after the server was restarted', () =>
    onStage(settings, async (stage) => {
      const { bob, alice } = await meetStream(stage);
      await alice.ask('/news', { data: 'before' });
      const { data: before } = await bob.receive();
      assert.equal(before.data, 'before');
      await stage.server.restart();
      assert.equal((await bob.receive()).channel, 'gap');
      const carol = await RawSession.open(stage.server.url);
      await carol.ask('/news', { data: 'after' });
      const { channel, data: after } = await bob.receive();
      assert.deepEqual([channel, after.data], ['message', 'after']);
      assert.notEqual(after.id.split('-')[0], before.id.split('-')[0]);
    }));
});
