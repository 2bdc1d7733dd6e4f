// Clients have what they missed: after they were away, and after the server was; or hear that it is gone.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { browserPeer, launch } from './support/browser.mjs';
import { onStageWithHistory, publish } from './support/kept.mjs';
import { COMETD_9, nodePeer } from './support/node-peer.mjs';
import { processPeer } from './support/process.mjs';
import { withShell } from './support/shell.mjs';
import { SECRET, tokenOf } from './support/tokens.mjs';

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
const JAVA = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', `${here('java/target/classes')}:${here('java/target/lib')}/*`];
const java = (stage, name) => processPeer(name, 'java', [...JAVA, 'Driver'], stage);

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const inChromium = (stage, name) => browserPeer(stage, name, browser, 'cometd.html');
const cometd = { name: 'cometd 9.0.0 with an extension of its own', open: nodePeer(COMETD_9) };
const cometdJava = { name: "CometD's Java client 9.0.0 with an extension like EMP-Connector's", open: java };
const CLIENTS = [
  { name: 'jsforce 3', open: nodePeer({ library: 'jsforce' }), options: LIKE_SALESFORCE },
  {
    name: 'aiosfstream-ng 0.7.5',
    open: python('drivers/aiosfstream_client.py'),
    options: LIKE_SALESFORCE,
    fallback: 'ALL_EVENTS',
  },
  ...['long-polling', 'websocket'].flatMap((transport) => [
    { ...cometd, transport, options: 'replay_expired="fail"' },
    { name: 'cometd 9.0.0 in Chromium', open: inChromium, transport, options: 'replay_expired="fail"' },
    { ...cometdJava, transport, options: LIKE_SALESFORCE },
  ]),
];

for (const { name, open, transport = 'long-polling', options, fallback } of CLIENTS) {
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

describe('jsforce 3 hears by its AuthFailure', () => {
  const jsforce = nodePeer({ library: 'jsforce' });

  for (const [what, token, error] of [
    ['that it has not shown who it is', undefined, /^\/meta\/handshake 403:.*:handshake_denied none$/],
    ['that its token has expired', () => tokenOf('u1', 9), /^\/meta\/handshake 401:.*:token_expired none$/],
  ]) {
    test(what, () =>
      withShell(async ({ folder }) => {
        const secret = join(folder, 'secret');
        await writeFile(secret, SECRET);
        const settings = [
          `issuer=[{ secret = { file = '${secret}' }, leeway = "0s" }]`,
          'access=[{ allow = ["handshake", "subscribe", "publish"], who = "authenticated", channels = ["/**"] }]',
        ];
        await onStageWithHistory(`{pattern="/event/**", history={messages=9}}`, settings, async (stage) => {
          const client = stage.add(await jsforce(stage, 'alice'));
          await client.connect(stage.server.url, { since: { [CHANNEL]: NEW }, token: token?.() });
          // Without a session there is no answer.
          const subscribed = client.subscribe(CHANNEL);
          if (token) await subscribed;
          else subscribed.catch(() => {});
          await client.until('a refusal', () => client.refusals.length > 0);
          assert.match(client.refusals[0], error);
        });
      }),
    );
  }
});

describe('EventSource in Chromium has every message once', () => {
  const on = (play) => onStageWithHistory('{pattern="/event/**", history={messages=100}}', [], play);

  /** Opens a stream, of a page that has kept the id of the last event, if it had any. */
  async function stream(page, origin, last) {
    const after = last === undefined ? '' : `&lastEventId=${encodeURIComponent(last)}`;
    await page.connect(`${origin}/events?channel=/event/*${after}`);
  }

  /** Takes so many events: their numbers, and the last one's id. */
  async function events(page, count) {
    await page.until(`${count} events`, () => page.messages.length >= count);
    const taken = page.messages.splice(0);
    assert.ok(taken.every(({ channel }) => channel === 'message'), JSON.stringify(taken));
    return { heard: taken.map(({ data }) => data.data.n), last: taken.at(-1).data.id };
  }

  for (const [how, happens] of [
    ['the page is loaded anew', async () => {}],
    ['the page is loaded anew, and the server was killed', (server) => server.crash()],
    ['the page is loaded anew, and the server was stopped', (server) => server.restart()],
  ]) {
    test(`when ${how}`, () =>
      on(async (stage) => {
        const { server } = stage;
        const page = stage.add(await browserPeer(stage, 'alice', browser, 'event-source.html'));
        await stream(page, server.origin);
        let next = 1;
        await publish(server.url, CHANNEL, next);
        let { heard, last } = await events(page, 1);
        assert.deepEqual(heard, [next]);
        for (let time = 0; time < 3; time += 1) {
          await happens(server);
          await page.reload();
          await publish(server.url, CHANNEL, next + 1, next + 2);
          await stream(page, server.origin, last);
          await publish(server.url, CHANNEL, next + 3);
          ({ heard, last } = await events(page, 3));
          assert.deepEqual(heard, [next + 1, next + 2, next + 3]);
          next += 3;
        }
      }));
  }

  test('when the server is killed again and again', () =>
    on(async (stage) => {
      const { server } = stage;
      const page = stage.add(await browserPeer(stage, 'alice', browser, 'event-source.html'));
      await stream(page, server.origin);
      for (let n = 1; n < 8; n += 2) {
        await publish(server.url, CHANNEL, n);
        await server.crash();
        await publish(server.url, CHANNEL, n + 1);
        assert.deepEqual((await events(page, 2)).heard, [n, n + 1]);
      }
    }));
});

test('mirant subscribe prints every message once, however the server and the command end', () =>
  onStageWithHistory('{pattern="/event/**", history={messages=100}}', [], ({ server }) =>
    withShell(async (shell) => {
      await publish(server.url, CHANNEL, 1);
      let since = 'all';
      for (const n of [1, 4]) {
        const count = n + 3;
        const run = shell.start(`exec mirant subscribe --since ${since} --count 3 ${server.origin} '/event/*'`);
        await run.until(new RegExp(`"n":${n}\\b`));
        await server.crash();
        await publish(server.url, CHANNEL, n + 1, n + 2);
        assert.deepEqual(await run.exit, [0, null], run.errors);
        const printed = run.text.trimEnd().split('\n').map((line) => JSON.parse(line).data.n);
        assert.deepEqual(printed, [n, n + 1, n + 2]);
        [, since] = /--since (\S+) goes on from here/.exec(run.errors);
        await publish(server.url, CHANNEL, count);
      }
    }),
  ));

/** The numbers of so many messages, and of those that have come besides. */
async function numbers(client, count) {
  await client.until(`${count} messages`, () => client.messages.length >= count).catch((error) => {
    throw new Error(`${error.message}, but came ${JSON.stringify(client.messages)}`);
  });
  return client.messages.splice(0).map(({ data }) => data.n);
}
