import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { metric, metricIs } from './support/metrics.mjs';
import { cometd9, faye14 } from './support/node-peer.mjs';
import { freePort } from './support/proxy.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

const ROUNDS = 2;
const MESSAGES = 20;

/** Runs `play` with a server that leaves its sessions to the next start. */
async function onLastingStage(play) {
  const directory = await mkdtemp(join(tmpdir(), 'mirant-sessions-'));
  const admin = `127.0.0.1:${await freePort()}`;
  const settings = [
    `history.directory="${join(directory, 'history')}"`,
    `admin.listen=["${admin}"]`,
    'bayeux.max_interval=1m',
  ];
  try {
    await onStage(settings, (stage) => play(stage, `http://${admin}`));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Receives exactly these. */
async function receiveAll(peer, numbers) {
  for (const number of numbers) assert.equal((await peer.receive()).data, number);
  assert.deepEqual(peer.messages, []);
}

const range = (first, count) => Array.from({ length: count }, (_, index) => first + index);

const clients = [
  ['cometd 9.0.0', cometd9, 'websocket'],
  ['cometd 9.0.0', cometd9, 'long-polling'],
  ['faye 1.4.3', faye14, 'websocket'],
  ['faye 1.4.3', faye14, 'long-polling'],
];

for (const [name, open, transport] of clients) {
  describe(`${name} over ${transport}`, () => {
    test('goes on after a restart without a handshake, and gets every message once', () =>
      onLastingStage(async (stage, admin) => {
        const bob = stage.add(await open(stage, 'bob'));
        // Faye handshakes by requests.
        const transports = [...new Set([transport, 'long-polling'])];
        assert.equal(await bob.connect(stage.server.url, { transports }), transport);
        await bob.subscribe('/news/**');
        const alice = await RawSession.open(stage.server.url);
        const publish = async (numbers) => {
          for (const number of numbers) {
            const replies = await alice.ask('/news/today', { data: number });
            assert.equal(replies.at(-1).successful, true, JSON.stringify(replies));
          }
        };
        let next = 1;
        for (let round = 0; round < ROUNDS; round += 1) {
          const numbers = range(next, MESSAGES);
          next += MESSAGES;
          await publish(numbers);
          await receiveAll(bob, numbers);
          await stage.server.restart(200);
          await metricIs(admin, 'mirant_sessions_restored_total', 2);
          // Nobody waits for bob: what comes before he is back waits for him.
          const missed = range(next, MESSAGES);
          next += MESSAGES;
          await publish(missed);
          await receiveAll(bob, missed);
        }
        assert.equal(await metric(admin, 'mirant_handshakes_total'), 0);
        assert.equal(bob.reconnections, 0);
      }));
  });
}
