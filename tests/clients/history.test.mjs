// Clients have what they missed: after they were away, and after the server was; or hear that it is gone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { onStageWithHistory, publish } from './support/kept.mjs';
import { COMETD_9, nodePeer } from './support/node-peer.mjs';
import { processPeer } from './support/process.mjs';

const CHANNEL = '/event/Order__e';
/** What clients of Salesforce need, who look for the number in `data`, and want to hear that theirs has expired. */
const LIKE_SALESFORCE = 'replay_id="data", replay_expired="fail"';
/** How many are kept. */
const KEPT = 4;
/** Positions in the sense of a subscribe. */
const NEW = -1;
const ALL = -2;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const python = (driver) => (stage, name) => processPeer(name, here('.venv/bin/python'), [here(driver)], stage);
const java = (stage, name) =>
  processPeer(name, 'java', ['-cp', `${here('java/target/classes')}:${here('java/target/lib')}/*`, 'Driver'], stage);

const cometd = { name: 'cometd 9.0.0 with an extension of its own', open: nodePeer(COMETD_9) };
const cometdJava = { name: "CometD's Java client 9.0.0 with an extension like EMP-Connector's", open: java };
const CLIENTS = [
  { name: 'jsforce 3', open: nodePeer({ library: 'jsforce' }), options: LIKE_SALESFORCE },
  { name: 'aiosfstream-ng 0.7.5', open: python('drivers/aiosfstream_client.py'), options: LIKE_SALESFORCE },
  ...['long-polling', 'websocket'].flatMap((transport) => [
    { ...cometd, transport, options: 'replay_expired="fail"' },
    { ...cometdJava, transport, options: LIKE_SALESFORCE },
  ]),
];

for (const { name, open, transport = 'long-polling', options } of CLIENTS) {
  describe(`${name}, by ${transport}`, () => {
    /** Runs `play` with a server, and with what makes clients of it. */
    const on = (play) =>
      onStageWithHistory(`{pattern="/event/**", history={messages=${KEPT}}, ${options}}`, [], (stage) =>
        play(stage, async (position, more) => {
          const client = stage.add(await open(stage, 'alice'));
          await client.connect(stage.server.url, { transports: [transport], since: { [CHANNEL]: position }, ...more });
          return client;
        }),
      );

    test('has what it missed while it was away', () =>
      on(async (stage, connected) => {
        const { url } = stage.server;
        const first = await connected(NEW);
        await publish(url, CHANNEL, 0);
        await first.subscribe(CHANNEL);
        await publish(url, CHANNEL, 1, 2);
        assert.deepEqual(await numbers(first, 2), [1, 2]);
        const { [CHANNEL]: position } = await first.perform('positions');
        await first.close();
        await publish(url, CHANNEL, 3, 4, 5);
        const second = await connected(position);
        await second.subscribe(CHANNEL);
        await publish(url, CHANNEL, 6);
        assert.deepEqual(await numbers(second, 4), [3, 4, 5, 6]);
      }));

    for (const [how, restart] of [
      ['stopped', (server) => server.restart()],
      ['killed', (server) => server.crash()],
    ]) {
      test(`has what it missed while the server was ${how}`, () =>
        on(async (stage, connected) => {
          const { server } = stage;
          const client = await connected(NEW);
          await client.subscribe(CHANNEL);
          await publish(server.url, CHANNEL, 1, 2);
          assert.deepEqual(await numbers(client, 2), [1, 2]);
          for (const n of [3, 5]) {
            await restart(server);
            await publish(server.url, CHANNEL, n, n + 1);
            assert.deepEqual(await numbers(client, 2), [n, n + 1]);
          }
        }));
    }

    test('hears that what it missed is not kept any more, and has what is', () =>
      on(async (stage, connected) => {
        const { url } = stage.server;
        const first = await connected(NEW);
        await first.subscribe(CHANNEL);
        await publish(url, CHANNEL, 1);
        assert.deepEqual(await numbers(first, 1), [1]);
        const { [CHANNEL]: position } = await first.perform('positions');
        await first.close();
        await publish(url, CHANNEL, 2, 3, 4, 5, 6, 7);
        const second = await connected(position);
        await assert.rejects(second.subscribe(CHANNEL), new RegExp(`400:${CHANNEL},${position}:replay_expired`));
        await second.perform('goBack', CHANNEL, ALL);
        await second.subscribe(CHANNEL);
        assert.deepEqual(await numbers(second, KEPT), [4, 5, 6, 7]);
      }));
  });
}

/** The numbers of so many messages, and of those that have come besides. */
async function numbers(client, count) {
  await client.until(`${count} messages`, () => client.messages.length >= count);
  return client.messages.splice(0).map(({ data }) => data.n);
}
