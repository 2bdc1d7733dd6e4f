// Who clients are: real ones log in, are refused, show a newer token in time or too late, and lose a right.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { AIOCOMETD } from './support/aiocometd-peer.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { cometd9, faye14 } from './support/node-peer.mjs';
import { withShell } from './support/shell.mjs';
import { onStage } from './support/stage.mjs';
import { SECRET, tokenOf } from './support/tokens.mjs';

const LATER = 600;
/** Seconds that are enough to begin a session, and soon over. */
const SOON = 8;

const inBrowser = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const CLIENTS = [
  ['cometd 9.0.0', cometd9, ['long-polling']],
  ['cometd 9.0.0 over WebSocket', cometd9, ['websocket']],
  ['cometd 9.0.0 in a browser', inBrowser('cometd.html'), ['long-polling']],
  ['cometd 9.0.0 in a browser over WebSocket', inBrowser('cometd.html'), ['websocket']],
  // Faye's handshake is made by a transport that every server has. It subscribes by itself in a new session.
  ['faye 1.4.3', faye14, ['long-polling'], true],
  ['faye 1.4.3 over WebSocket', faye14, ['websocket', 'long-polling'], true],
  ['faye 1.4.3 in a browser with EventSource', inBrowser('faye.html'), ['eventsource', 'long-polling'], true],
  ...AIOCOMETD.filter(({ open }) => open).flatMap(({ build, open }) => [
    [build, open, ['long-polling'], true],
    [`${build} over WebSocket`, open, ['websocket'], true],
  ]),
];

let browser;
let folder;
let settings;
before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), 'mirant-access-'));
  await writeFile(join(folder, 'secret'), SECRET);
  let hash;
  await withShell(async (shell) => {
    hash = (await shell.run('printf sesame | mirant hash-password')).trim();
  });
  const actions = "allow = ['subscribe', 'publish']";
  const rules = [
    "{ allow = ['handshake'], who = 'authenticated' }",
    `{ ${actions}, channels = ['/inbox/{user}'], who = 'authenticated' }`,
    `{ ${actions}, channels = ['/news'], who = { role = 'editor' } }`,
  ];
  settings = [
    `issuer=[{ secret = { file = '${join(folder, 'secret')}' }, leeway = '0s' }]`,
    `user=[{ name = 'u1', password_hash = '${hash}' }]`,
    `access=[${rules}]`,
    'authentication.cookie=session_token',
  ];
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

const token = (seconds, claims, secret) => tokenOf('u1', seconds, claims, secret);

/** What a client shows, and with which error its handshake is refused. */
const REFUSED = {
  nothing: [undefined, '403::handshake_denied'],
  'a token with a wrong signature': [{ token: token(LATER, {}, 'another') }, '401::token_signature_invalid'],
  'a token that has expired': [{ token: token(-1) }, '401::token_expired'],
  'a wrong password': [{ user: 'u1', password: 'open' }, '401::password_invalid'],
};

/** What a client does of which `open` makes an unconnected one that shows something. */
const SCENARIOS = {
  async 'logs in with a token or a password'({ open }) {
    for (const shown of [{ token: token(LATER) }, { user: 'u1', password: 'sesame' }]) {
      const peer = await open('alice', shown);
      await peer.login();
      await hears([peer], '/inbox/u1', peer);
      assert.deepEqual(peer.refusals, []);
    }
  },

  async 'is refused what no rule allows, and goes on'({ open }) {
    const peer = await open('alice', { token: token(LATER) });
    await peer.login();
    await assert.rejects(peer.subscribe('/inbox/u2'), /subscribe_denied/);
    await assert.rejects(peer.publish('/news', 'mine'), /publish_denied/);
    const [subscribe, publish] = peer.refusals;
    assert.match(subscribe, /^\/meta\/subscribe \/inbox\/u2 403:\/inbox\/u2:subscribe_denied/);
    assert.match(publish, /^\/news 403:\/news:publish_denied/);
    await hears([peer], '/inbox/u1', peer);
  },

  async 'goes on with a newer token, and recovers without one'({ open, resubscribes }) {
    const [renewed, late] = await Promise.all([open('renewed'), open('late')]);
    // What they show is made when both can use it.
    const soon = { token: token(SOON) };
    await Promise.all([renewed.perform('show', soon), late.perform('show', soon)]);
    await Promise.all([renewed.login(), late.login()]);
    // It shows this one when it has to shake hands again, and the other one that it need not.
    await late.perform('show', { token: token(LATER) });
    await renewed.perform('show', { token: token(LATER) }, true);
    await hears([renewed, late], '/inbox/u1', renewed);

    await late.until('a new session', () => late.reconnections > 0);
    if (!resubscribes) await late.subscribe('/inbox/u1');
    await hears([renewed, late], '/inbox/u1', late);
    assert.deepEqual(late.refusals, ['/meta/connect 401::token_expired handshake']);
    assert.equal(late.reconnections, 1);
    assert.deepEqual(renewed.refusals, []);
    assert.equal(renewed.reconnections, 0);
  },

  async 'is told that it lost a right, and keeps the others'({ open }) {
    const [peer, editor] = await Promise.all(
      ['alice', 'bob'].map((name) => open(name, { token: token(LATER, { roles: ['editor'] }) })),
    );
    await Promise.all([peer.login(), editor.login()]);
    await peer.subscribe('/news');
    await hears([peer], '/news', editor);
    await peer.perform('show', { token: token(2 * LATER) }, true);
    await hears([peer, editor], '/inbox/u1', peer);
    await peer.until('a refusal', () => peer.refusals.length > 0);
    assert.deepEqual(peer.refusals, ['/meta/subscribe /news 403:/news:subscribe_denied']);
    await editor.publish('/news', 'not for everybody');
    await hears([peer, editor], '/inbox/u1', editor);
    assert.equal(peer.reconnections, 0);
  },
};

for (const [what, [shown, error]] of Object.entries(REFUSED)) {
  SCENARIOS[`is refused for good with ${what}`] = async ({ open }) => {
    const peer = await open('eve', shown);
    // Some clients wait for ever.
    peer.login().catch(() => {});
    await peer.until('a refusal', () => peer.refusals.length > 0);
    assert.deepEqual(peer.refusals, [`/meta/handshake ${error} none`]);
  };
}

for (const [name, start, transports, resubscribes] of CLIENTS) {
  describe(name, { concurrency: 2 }, () => {
    for (const [title, scenario] of Object.entries(SCENARIOS)) {
      test(title, () =>
        onStage(settings, async (stage) => {
          const open = async (who, shown) => {
            const peer = stage.add(await start(stage, who));
            if (shown) await peer.perform('show', shown);
            peer.login = async () => {
              assert.equal(await peer.connect(stage.server.url, { transports }), transports[0]);
              await peer.subscribe('/inbox/u1');
            };
            return peer;
          };
          await scenario({ open, resubscribes });
        }),
      );
    }
  });
}

describe('an EventSource with a cookie', () => {
  const open = async (stage, cookie) => {
    const peer = stage.add(await inBrowser('event-source.html')(stage, 'alice'));
    await peer.setCookie('session_token', cookie);
    peer.login = () => peer.connect(`${stage.server.origin}/events?channel=/inbox/u1`);
    return peer;
  };

  test('hears what its user may, and with a newer cookie comes back when the token expires', () =>
    onStage(settings, async (stage) => {
      const peer = await open(stage, token(SOON));
      await peer.login();
      const publisher = stage.add(await cometd9(stage, 'publisher'));
      await publisher.perform('show', { token: token(LATER) });
      await publisher.connect(stage.server.url, { transports: ['websocket'] });
      await publisher.publish('/inbox/u1', 'before');
      assert.equal((await peer.receive()).data.data, 'before');
      await peer.setCookie('session_token', token(LATER));
      // Its session has ended, and in the new one it may have missed something.
      await peer.until('the stream to be opened again', () => peer.reconnections > 0);
      assert.equal((await peer.receive()).channel, 'gap');
      await publisher.publish('/inbox/u1', 'after');
      assert.equal((await peer.receive()).data.data, 'after');
    }));

  test('gives up when the token has expired', () =>
    onStage(settings, async (stage) => {
      const peer = await open(stage, token(-1));
      await assert.rejects(peer.login(), /refused/);
    }));
});

/** Has one client publish, and the others receive that next. */
async function hears(peers, channel, publisher) {
  const data = { n: Math.random() };
  await publisher.publish(channel, data);
  for (const peer of peers) assert.deepEqual(await peer.receive(), { channel, data });
}
