import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { Gate } from './support/gate.mjs';
import { PLUGINS } from './support/plugins.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** How long a frame may be silent until it counts as broken, in milliseconds. Where nothing breaks that
 * must not happen, however busy the machine is: what was on its way to the frame would be lost. */
const NEVER = 60_000;
const SOON = 3_000;
/** Far shorter than that. */
const HEARTBEATS = 'streaming.heartbeat_interval=100ms';
const range = (first, count) => Array.from({ length: count }, (_, index) => first + index);

const isAborted = (reason) => reason.endsWith('net::ERR_ABORTED');

/** A client behind a gate, and another that publishes to it without one. */
async function meet(stage, transport, silence = NEVER) {
  const gate = stage.add(await Gate.start(stage.server.origin));
  const behind = {
    server: { origin: gate.origin, url: `${gate.origin}/cometd` },
    log: (line) => stage.log(line),
  };
  const bob = stage.add(await browserPeer(behind, 'bob', browser, `cometd-plugins.html?silence=${silence}`));
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
        const { gate, bob, publishAll, receiveAll } = await meet(stage, transport, SOON);
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
