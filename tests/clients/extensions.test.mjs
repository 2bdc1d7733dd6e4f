// The client's own extensions, in Node: ack, timesync, timestamp, binary; and calls of services.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { Gate } from './support/gate.mjs';
import { COMETD_3, COMETD_7, COMETD_9, nodePeer } from './support/node-peer.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

const ALL = ['Ack', 'TimeSync', 'TimeStamp', 'Binary'];
const HOUR = 3_600_000;
const SERVICES = ['services.echo=["/service/echo"]', 'services.direct=["/service/direct"]'];

const CLIENTS = [
  ['cometd 3.1.14 in Node', COMETD_3, 'long-polling'],
  ['cometd 7.0.19 in Node', COMETD_7, 'long-polling'],
  ['cometd 9.0.0 in Node', COMETD_9, 'long-polling'],
  ['cometd 7.0.19 in Node over WebSocket', COMETD_7, 'websocket'],
  ['cometd 9.0.0 in Node over WebSocket', COMETD_9, 'websocket'],
];

async function join(stage, name, build, transport, { url = stage.server.url, ...options } = {}) {
  const peer = stage.add(await nodePeer(build)(stage, name));
  assert.equal(await peer.connect(url, { transports: [transport], ...options }), transport);
  return peer;
}

/** A client behind a gate, and another that publishes to it without one. */
async function meet(stage, build, transport, extensions) {
  const gate = stage.add(await Gate.start(stage.server.origin));
  const bob = await join(stage, 'bob', build, transport, { url: `${gate.origin}/cometd`, extensions });
  await bob.subscribe('/news');
  const alice = await RawSession.open(stage.server.url);
  const publish = async (...numbers) => {
    for (const number of numbers) await alice.ask('/news', { data: number });
  };
  const receive = async (...numbers) => {
    for (const number of numbers) assert.equal((await bob.receive()).data, number);
    assert.deepEqual(bob.messages, []);
  };
  return { gate, bob, publish, receive };
}

/** Loses 2, which the server has written, with 3 and 4 behind it, which it cannot. */
async function loseOne({ gate, publish, receive }) {
  await publish(1);
  await receive(1);
  gate.swallows = true;
  await publish(2);
  await gate.swallowed('"data":2');
  gate.shut();
  await publish(3, 4);
  gate.swallows = false;
  gate.open();
}

const TIMESTAMP = /^\w{3} \w{3} \d{2} \d{2}:\d{2}:\d{2} UTC \d{4}$/;

for (const [name, build, transport] of CLIENTS) {
  behaviours({ name: `${name} with extensions`, open: nodePeer(build), transport, extensions: ALL });

  describe(name, () => {
    test('gets again what was lost on its way, with ack', () =>
      onStage([], async (stage) => {
        const scene = await meet(stage, build, transport, ['Ack']);
        await loseOne(scene);
        await scene.receive(2, 3, 4);
        assert.equal(scene.bob.reconnections, 0);
      }));

    test('does not get again what was lost on its way, without ack', () =>
      onStage([], async (stage) => {
        const scene = await meet(stage, build, transport, []);
        await loseOne(scene);
        await scene.receive(3, 4);
      }));

    test('does not get again what was lost on its way, where ack is off', () =>
      onStage(['extensions.ack=false'], async (stage) => {
        const scene = await meet(stage, build, transport, ['Ack']);
        await loseOne(scene);
        await scene.receive(3, 4);
      }));

    test('knows the time of the server, with timesync', () =>
      onStage(['bayeux.timeout=100ms'], async (stage) => {
        const fast = { ...build, ahead: HOUR };
        const bob = await join(stage, 'bob', fast, transport, { extensions: ['TimeSync'] });
        await bob.subscribe('/news');
        const { offset, lag } = await bob.perform('clock');
        assert.ok(Math.abs(offset + HOUR) < 1_000, `offset ${offset}`);
        assert.ok(lag >= 0 && lag < 1_000, `lag ${lag}`);
      }));

    test('sends and receives times, with timestamp', () =>
      onStage(['extensions.timestamp=cometd'], async (stage) => {
        const bob = await join(stage, 'bob', build, transport, { extensions: ['TimeStamp'] });
        await bob.subscribe('/news');
        await bob.publish('/news', 1);
        await bob.receive();
        const [timestamp] = bob.timestamps;
        assert.match(timestamp, TIMESTAMP, 'it is the server’s, not the client’s');
      }));

    test('sends and receives bytes, with binary', () =>
      onStage([], async (stage) => {
        const extensions = ['Binary'];
        const bob = await join(stage, 'bob', build, transport, { extensions });
        const carol = await join(stage, 'carol', build, transport, { extensions });
        for (const peer of [bob, carol]) await peer.subscribe('/bytes');
        for (const length of [0, 1, 2, 3, 4, 5, 256]) {
          const bytes = Array.from({ length }, (_, index) => (index * 7 + length) % 256);
          await bob.perform('publishBinary', '/bytes', bytes);
          for (const peer of [bob, carol]) {
            const { data } = await peer.receive();
            assert.deepEqual(data, { data: bytes, last: true });
          }
        }
      }));

    test('calls services', () =>
      onStage(SERVICES, async (stage) => {
        for (const extensions of [[], ['Ack']]) {
          const bob = await join(stage, 'bob', build, transport, { extensions });
          const call = (...args) => bob.perform('remoteCall', ...args);
          const content = { text: 'é', list: [1, null] };
          const calls = [call('echo', content, 5_000), call('/echo', 7, 5_000)];
          assert.deepEqual(await Promise.all(calls), [
            { successful: true, data: content },
            { successful: true, data: 7 },
          ]);
          const letter = { clientId: 'nobody', data: 1 };
          assert.deepEqual(await call('direct', letter, 5_000), {
            successful: false,
            data: { error: 'there is no such client' },
          });
          // Nobody serves it.
          assert.deepEqual(await call('silence', 1, 200), {
            successful: false,
            error: '406::timeout',
          });
          assert.deepEqual((await call('echo', 'after', 5_000)).data, 'after');
          assert.deepEqual(bob.messages, []);
        }
      }));
  });
}
