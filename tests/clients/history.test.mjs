// Clients have what they missed: after they were away, and after the server was.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { onStageWithHistory, publish } from './support/kept.mjs';
import { COMETD_9, nodePeer } from './support/node-peer.mjs';
import { processPeer } from './support/process.mjs';

const CHANNEL = '/event/Order__e';
/** What clients of Salesforce need, who look for the number in `data`, and want to hear that theirs has expired. */
const SALESFORCE = '{pattern="/event/**", history={messages=100}, replay_id="data", replay_expired="fail"}';
const NEW = -1;

const PYTHON = fileURLToPath(new URL('.venv/bin/python', import.meta.url));
const AIOSFSTREAM = fileURLToPath(new URL('drivers/aiosfstream_client.py', import.meta.url));

const CLIENTS = [
  { name: 'jsforce 3', open: nodePeer({ library: 'jsforce' }) },
  {
    name: 'aiosfstream-ng 0.7.5',
    open: (stage, name) => processPeer(name, PYTHON, [AIOSFSTREAM], stage),
  },
];

for (const { name, open, channel = SALESFORCE, options } of CLIENTS) {
  describe(`${name} has what it missed`, () => {
    /** Opens a client that is subscribed after a message. */
    const subscribed = async (stage, position, more) => {
      const client = stage.add(await open(stage, 'alice'));
      await client.connect(stage.server.url, { since: { [CHANNEL]: position }, ...options, ...more });
      await client.subscribe(CHANNEL);
      return client;
    };
    const on = (play) => onStageWithHistory(channel, [], play);

    test('while it was away', () =>
      on(async (stage) => {
        const { url } = stage.server;
        const first = await subscribed(stage, NEW);
        await publish(url, CHANNEL, 1, 2);
        assert.deepEqual(await numbers(first, 2), [1, 2]);
        const { [CHANNEL]: position } = await first.perform('positions');
        await first.close();
        await publish(url, CHANNEL, 3, 4, 5);
        const second = await subscribed(stage, position);
        await publish(url, CHANNEL, 6);
        assert.deepEqual(await numbers(second, 4), [3, 4, 5, 6]);
      }));

    for (const [how, restart] of [
      ['stopped', (server) => server.restart()],
      ['killed', (server) => server.crash()],
    ]) {
      test(`while the server was ${how}`, () =>
        on(async (stage) => {
          const { server } = stage;
          const client = await subscribed(stage, NEW);
          await publish(server.url, CHANNEL, 1, 2);
          assert.deepEqual(await numbers(client, 2), [1, 2]);
          for (const n of [3, 5, 7]) {
            await restart(server);
            await publish(server.url, CHANNEL, n, n + 1);
            assert.deepEqual(await numbers(client, 2), [n, n + 1]);
          }
        }));
    }
  });
}

/** The numbers of so many messages, and of those that have come besides. */
async function numbers(client, count) {
  await client.until(`${count} messages`, () => client.messages.length >= count);
  return client.messages.splice(0).map(({ data }) => data.n);
}
