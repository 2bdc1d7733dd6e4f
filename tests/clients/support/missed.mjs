// What every client of history does: it has what it missed, or hears that it is gone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { onStageWithHistory, publish } from './kept.mjs';

export const CHANNEL = '/event/Order__e';
/** How many are kept. */
const KEPT = 4;
/** Positions in the sense of a subscribe. */
export const NEW = -1;
const ALL = -2;

/**
 * Defines the tests of a client.
 *
 * @param {object} client
 * @param {string} client.name
 * @param {(stage: Stage, name: string) => Peer | Promise<Peer>} client.open
 * @param {string} [client.transport]
 * @param {string} client.options of the channel
 * @param {string} [client.fallback] what it is told so that it subscribes again by itself
 */
export function missed({ name, open, transport = 'long-polling', options, fallback }) {
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

    /** Publishes more than is kept while a client is away; its position. */
    const expire = async (stage, connected) => {
      const { url } = stage.server;
      const client = await connected(NEW);
      await client.subscribe(CHANNEL);
      await publish(url, CHANNEL, 1);
      assert.deepEqual(await numbers(client, 1), [1]);
      const { [CHANNEL]: position } = await client.perform('positions');
      await client.close();
      await publish(url, CHANNEL, 2, 3, 4, 5, 6, 7);
      return position;
    };

    test('hears that what it missed is not kept any more, and has what is', () =>
      on(async (stage, connected) => {
        const position = await expire(stage, connected);
        const second = await connected(position);
        await assert.rejects(second.subscribe(CHANNEL), new RegExp(`400:${CHANNEL},${position}:replay_expired`));
        await second.perform('goBack', CHANNEL, ALL);
        await second.subscribe(CHANNEL);
        assert.deepEqual(await numbers(second, KEPT), [4, 5, 6, 7]);
      }));

    if (!fallback) return;
    test('has what is kept by itself if it is set so', () =>
      on(async (stage, connected) => {
        const second = await connected(await expire(stage, connected), { fallback });
        await second.subscribe(CHANNEL);
        assert.deepEqual(await numbers(second, KEPT), [4, 5, 6, 7]);
      }));
  });
}

/** The numbers of so many messages, and of those that have come besides. */
async function numbers(client, count) {
  await client.until(`${count} messages`, () => client.messages.length >= count).catch((error) => {
    throw new Error(`${error.message}, but came ${JSON.stringify(client.messages)}`);
  });
  return client.messages.splice(0).map(({ data }) => data.n);
}
