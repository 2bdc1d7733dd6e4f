// The application servers of examples/ answer the calls of real clients, go away in the middle of them, and come
// back.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { AIOCOMETD } from './support/aiocometd-peer.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { application } from './support/connected.mjs';
import { metricIs } from './support/metrics.mjs';
import { cometd9 } from './support/node-peer.mjs';
import { freePort } from './support/proxy.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { SECRET, tokenOf } from './support/tokens.mjs';
import { within } from './support/within.mjs';

const APPLICATIONS = ['backend.mjs', 'backend.py'];
/** How many calls are in the middle when their application goes away, and how many it has answered by then. */
const CALLS = 1000;
const QUICK = 100;
/** Longer than any test. */
const FOR_EVER = 3_600_000;

const inBrowser = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const CLIENTS = [
  ['cometd 9.0.0', cometd9],
  ['cometd 9.0.0 in a browser', inBrowser('cometd.html')],
  ["cometd's jQuery binding in a browser", inBrowser('cometd-jquery.html')],
  ...AIOCOMETD.map(({ build, open, skip }) => [build, open, skip]),
];

let browser;
let folder;
before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), 'mirant-backends-'));
  await writeFile(join(folder, 'secret'), SECRET);
  await writeFile(join(folder, 'key'), KEY);
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

const backendToken = () => tokenOf('app', 600, { roles: ['backend'] });

/** A key, and the setting for it. */
const KEY = 'mirant_0123456789012345678901234567890123456789012';
const withKey = () => `api.key=[{ name = 'app', secret = { file = '${join(folder, 'key')}' }, allow = ['calls', 'publish'] }]`;

/** Runs `play` with a server whose application servers have tokens. */
function withServer(settings, play) {
  const own = [
    `issuer=[{ secret = { file = '${join(folder, 'secret')}' } }]`,
    'backends.role=backend',
    'backends.events_channel=/service/events',
  ];
  return onStage([...own, ...settings], play);
}

/** A client of a user that is connected. */
async function enter(stage, open, transport) {
  const peer = stage.add(await open(stage, 'caller'));
  await peer.perform('show', { token: tokenOf('u1', 600) });
  assert.equal(await peer.connect(stage.server.url, { transports: [transport] }), transport);
  return peer;
}

for (const example of APPLICATIONS) {
  describe(example, { concurrency: 2 }, () => {
    for (const [name, open, skip] of CLIENTS) {
      for (const transport of ['long-polling', 'websocket']) {
        test(`answers ${name} over ${transport}`, { skip }, () =>
          withServer(['backends.call_timeout=60s'], async (stage) => {
            const app = await application(stage, example, backendToken());
            const peer = await enter(stage, open, transport);
            await answers(peer, app);
          }),
        );

        test(`is too late for ${name} over ${transport}`, { skip }, () =>
          withServer(['backends.call_timeout=100ms'], async (stage) => {
            await application(stage, example, backendToken());
            const peer = await enter(stage, open, transport);
            assert.deepEqual(await call(peer, 'sleep', FOR_EVER), error('504:/service/rpc/sleep:backend_timed_out'));
          }),
        );
      }
    }

    test('hears of sessions, and publishes under a name', () =>
      withServer([], async (stage) => {
        const app = await application(stage, example, backendToken());
        const peer = await enter(stage, cometd9, 'websocket');
        await app.until(/^session_begun u1/);
        await peer.subscribe('/chat');
        await app.until(/^subscribed u1 \/chat$/);
        const reader = await RawSession.open(stage.server.url);
        await reader.ask('/meta/subscribe', { subscription: '/news' });
        assert.equal((await call(peer, 'announce', 'tea is ready')).data, 'announced');
        const [told] = await reader.ask('/meta/connect');
        const data = { text: 'tea is ready', user: 'u1' };
        assert.deepEqual(told, { channel: '/news', data, ext: { sender: 'backend' } });
        // A client that tells of what did not happen makes a call that there is not.
        const forged = await peer.perform('remoteCall', 'events', { events: [{ event: 'forged' }] }, 0);
        assert.equal(forged.successful, false);
        await peer.disconnect();
        assert.equal(await app.until(/^session_ended u1|forged/), 'session_ended u1');
      }));

    test('shows a key, and ends if it is refused', () =>
      withServer([withKey()], async (stage) => {
        await application(stage, example, KEY);
        const peer = await enter(stage, cometd9, 'websocket');
        assert.equal((await call(peer, 'add', [1, 2])).data, 3);
        const refused = await application(stage, example, `${KEY.slice(0, -1)}_`, /refused|401/);
        assert.notEqual((await within('its end', refused.exit))[0], 0);
      }));

    test('takes calls again after the server was restarted', async () => {
      const admin = `127.0.0.1:${await freePort()}`;
      await withServer([`admin.listen=${admin}`], async (stage) => {
        await application(stage, example, backendToken());
        await stage.server.restart();
        await metricIs(`http://${admin}`, 'mirant_backends', 1);
        const peer = await enter(stage, cometd9, 'websocket');
        assert.equal((await call(peer, 'add', [1, 2])).data, 3);
      });
    });

    for (const signal of ['SIGKILL', 'SIGTERM']) {
      test(`another takes over its calls after ${signal}`, () =>
        inTheMiddle(example, signal, { pause: 3000, others: 1 }, async ({ ended }) => {
          const failed = ended.filter(({ successful }) => !successful);
          assert.deepEqual(failed, []);
        }));

      test(`its calls fail after ${signal} if there is no other, which may come later`, () =>
        inTheMiddle(example, signal, { pause: FOR_EVER, others: 0 }, async ({ ended, stage, peer }) => {
          const gone = '503:/service/rpc/sleep:backend_gone';
          const failed = ended.filter(({ successful }) => !successful);
          assert.deepEqual(failed.map(({ error }) => error), Array(CALLS).fill(gone));
          const none = await call(peer, 'add', [1, 2]);
          assert.equal(none.error, '503:/service/rpc/add:no_backend');
          await application(stage, example, backendToken());
        }));
    }
  });
}

test('one cometd client answers another in the same process', () =>
  withServer([], async (stage) => {
    const { adapt } = await import('cometd-nodejs-client-2');
    adapt();
    const { CometD } = await import('cometd-9');
    const connect = async (token) => {
      const cometd = new CometD();
      stage.add({ close: () => new Promise((resolve) => cometd.disconnect(resolve)) });
      cometd.configure({ url: stage.server.url, logLevel: 'warn' });
      const reply = await new Promise((resolve) => cometd.handshake({ ext: { authentication: { token } } }, resolve));
      assert.equal(reply.successful, true);
      return cometd;
    };
    const [taker, caller] = await Promise.all([connect(backendToken()), connect(tokenOf('u1', 600))]);
    await new Promise((resolve) => {
      const answer = ({ channel, data, ext: { call } }) => {
        taker.publish(channel, `${data}, ${call.user}`, { ext: { call: { id: call.id } } });
      };
      taker.subscribe('/service/greet', answer, resolve);
    });
    const answered = new Promise((resolve) => caller.remoteCall('greet', 'hello', resolve));
    const { successful, data } = await within('the answer', answered);
    assert.deepEqual({ successful, data }, { successful: true, data: 'hello, u1' });
  }));

/** Calls a service; how that ended. */
async function call(peer, service, content) {
  const { error, ...answer } = await peer.perform('remoteCall', `rpc/${service}`, content, 0);
  return error === undefined ? answer : { ...answer, error };
}

/** Calls services, which answer or fail. */
async function answers(peer, app) {
  assert.deepEqual(await call(peer, 'add', [1, 2, 3.5]), { successful: true, data: 6.5 });
  const [first, second] = [await call(peer, 'whoami', {}), await call(peer, 'whoami', {})];
  assert.equal(first.data.user, 'u1');
  assert.match(first.data.session, /^[\w-]{22}$/);
  assert.deepEqual(first, second);
  // An answer goes to its own call, whatever their order.
  const pauses = [300, 100, 200];
  const slept = await Promise.all(pauses.map((pause) => call(peer, 'sleep', pause)));
  assert.deepEqual(slept.map(({ data }) => data), pauses);

  const failed = await call(peer, 'add', ['x']);
  assert.equal(failed.successful, false);
  assert.match(failed.data.error, /numbers|unsupported operand/);
  assert.equal((await call(peer, 'nothing', {})).successful, false);
  assert.equal(await app.end('SIGTERM'), 0);
  assert.deepEqual(await call(peer, 'add', [1, 2]), error('503:/service/rpc/add:no_backend'));
  assert.deepEqual(peer.messages, []);
}

const error = (text) => ({ successful: false, data: { error: text }, error: text });

/**
 * Ends an application by a signal in the middle of its calls, when it has answered the quick ones, and waits for
 * the end of all.
 */
function inTheMiddle(example, signal, { pause, others }, check) {
  // One that is killed is soon gone.
  const settings = ['backends.call_timeout=60s', 'backends.max_calls_per_session=2000', 'backends.max_interval=1s'];
  return withServer(settings, async (stage) => {
    const app = await application(stage, example, backendToken());
    const peer = await enter(stage, cometd9, 'websocket');
    for (let other = 0; other < others; other += 1) await application(stage, example, backendToken());
    const paused = Array.from({ length: CALLS }, (_, at) => pause + at / CALLS);
    const quick = Array.from({ length: QUICK }, (_, at) => at / QUICK);
    // Behind the others: when they are answered, the others have been called.
    await peer.perform('remoteCalls', 'rpc/sleep', [...paused, ...quick]);
    await peer.until('the first answers', () => peer.messages.length >= QUICK);
    assert.ok(peer.messages.length < CALLS, 'it is in the middle');
    assert.equal(await app.end(signal), signal === 'SIGTERM' ? 0 : null);
    for (const half of [CALLS / 2, CALLS]) {
      await peer.until('the end of its calls', () => peer.messages.length >= half + QUICK);
    }
    const ended = peer.messages.splice(0).map(({ data }) => data);
    const called = ended.map(({ content }) => content).sort((a, b) => a - b);
    assert.deepEqual(called, [...quick, ...paused]);
    for (const { successful, content, data } of ended) if (successful) assert.equal(data, content);
    await check({ ended, stage, peer });
    // Nothing comes again, at least not before the next answer.
    assert.equal((await call(peer, 'add', [1, 2])).data, 3);
    assert.deepEqual(peer.messages, []);
  });
}
