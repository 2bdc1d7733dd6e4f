// Clients that are too fast: what is refused is told, nobody loses a session, and all of them recover.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test } from 'node:test';

import { cometd9, faye14 } from './support/node-peer.mjs';
import { onStage } from './support/stage.mjs';

const CLIENTS = [
  ['cometd 9.0.0 over long-polling', cometd9, ['long-polling']],
  ['cometd 9.0.0 over WebSocket', cometd9, ['websocket']],
  ['faye 1.4.3 over long-polling', faye14, ['long-polling']],
  ['faye 1.4.3 over WebSocket', faye14, ['websocket', 'long-polling']],
];

/** Publishes without a session. */
async function post(stage, channel, data) {
  const body = JSON.stringify({ channel, data });
  const response = await fetch(stage.server.url, { method: 'POST', body });
  assert.equal((await response.json())[0].successful, true);
}

for (const [name, open, transports] of CLIENTS) {
  const join = async (stage, who) => {
    const peer = stage.add(await open(stage, who));
    return { peer, connect: () => peer.connect(stage.server.url, { transports, patient: true }) };
  };

  describe(name, { concurrency: true }, () => {
    test('a publish too soon fails with 429, and one that waits is taken', () =>
      onStage(['rates.messages_per_session=5', 'rates.messages_per_session_burst=3'], async (stage) => {
        const [alice, bob] = await Promise.all([join(stage, 'alice'), join(stage, 'bob')]);
        await Promise.all([alice.connect(), bob.connect()]);
        await bob.peer.subscribe('/news');
        const sent = Array.from({ length: 12 }, (_, data) => alice.peer.publish('/news', data));
        const results = await Promise.allSettled(sent);
        const refused = results.filter(({ reason }) => reason);
        assert.ok(refused.length > 0 && refused.length < 12, `${refused.length} refused`);
        for (const { reason } of refused) assert.match(reason.message, /too_many_messages/);
        const taken = [...results.keys()].filter((data) => !results[data].reason);
        const heard = [];
        for (const _ of taken) heard.push((await bob.peer.receive()).data);
        assert.deepEqual(heard.sort((a, b) => a - b), taken);
        await delay(250);
        await alice.peer.publish('/news', 'late');
        assert.equal((await bob.peer.receive()).data, 'late');
        assert.equal(alice.peer.reconnections + bob.peer.reconnections, 0);
      }));

    test('a handshake too soon is tried again until it is taken', () =>
      onStage(['rates.handshakes_per_address=1', 'rates.handshakes_per_address_burst=1'], async (stage) => {
        const names = ['alice', 'bob', 'carol'];
        const peers = await Promise.all(names.map((who) => join(stage, who)));
        await Promise.all(peers.map(({ connect }) => connect()));
        assert.match(stage.server.log, /a handshake came too soon: rates.handshakes_per_address/);
        const [alice, bob] = peers.map(({ peer }) => peer);
        await bob.subscribe('/news');
        await alice.publish('/news', 'hello');
        assert.equal((await bob.receive()).data, 'hello');
      }));

    test('a client that receives much is never too fast', () =>
      onStage(
        ['rates.messages_per_session=1', 'rates.messages_per_session_burst=2', 'bayeux.publish_without_session=true'],
        async (stage) => {
          const bob = await join(stage, 'bob');
          await bob.connect();
          await bob.peer.subscribe('/news');
          for (let data = 0; data < 40; data += 1) {
            await post(stage, '/news', data);
            assert.equal((await bob.peer.receive()).data, data);
          }
          assert.doesNotMatch(stage.server.log, /too soon/);
          assert.equal(bob.peer.reconnections, 0);
        },
      ));
  });
}
