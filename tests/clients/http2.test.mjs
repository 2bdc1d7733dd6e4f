// HTTP/2 as browsers and proxies speak it: cometd 9 in eight tabs of one Chromium at once, over TLS (ALPN) with WebSocket
// over HTTP/2 (RFC 8441); and proxies that begin with it (prior knowledge).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launch } from './support/browser.mjs';
import { metric, metricIs } from './support/metrics.mjs';
import { Peer } from './support/peer.mjs';
import { Proxy, caddy, freePort, haproxy } from './support/proxy.mjs';
import { RawSession } from './support/requests.mjs';
import { Server } from './support/server.mjs';
import { staticResponse } from './support/static.mjs';

const TABS = 8;
const key = (name) => fileURLToPath(new URL(`../keys/${name}`, import.meta.url));
const TLS = [`tls.certificate=${key('tls-localhost.pem')}`, `tls.key=${key('tls-localhost.key')}`];

/** Starts a server with figures at a port that was free, unless somebody takes it first. */
async function start(settings, before, tries = 5) {
  const admin = `127.0.0.1:${await freePort()}`;
  try {
    const server = await Server.start([`admin.listen=["${admin}"]`, 'log.level=error', ...settings], [], before);
    return { server, admin: `http://${admin}` };
  } catch (error) {
    if (tries === 0 || !error.message.includes('in use')) throw error;
    return start(settings, before, tries - 1);
  }
}

describe('Chromium over HTTP/2', () => {
  let browser, server, admin, context;
  before(async () => {
    ({ server, admin } = await start(TLS, 'tls:'));
    browser = await launch();
    context = await browser.newContext({ ignoreHTTPSErrors: true });
    await context.route(`${server.origin}/static/**`, async (route) => {
      await route.fulfill(await staticResponse(route.request().url()));
    });
    // Pages that are not the server's have no address, so to Chromium this server is in another network.
    await context.grantPermissions(['local-network-access']);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** A tab of the one browser. */
  async function open(name) {
    const tab = await context.newPage();
    const perform = (operation, ...args) =>
      tab.evaluate(([op, values]) => globalThis.driver[op](...values), [operation, args]);
    const peer = new Peer(name, perform, () => tab.close());
    await tab.exposeFunction('report', (event) => peer.report(event));
    await tab.goto(`${server.origin}/static/pages/cometd-plugins.html`);
    await tab.waitForFunction(() => globalThis.driver !== undefined);
    peer.tab = tab;
    return peer;
  }

  /** Publishes, and waits until all have that. */
  async function told(peers, data) {
    await peers[0].publish('/news', data);
    for (const peer of peers) {
      await peer.until('the message', () => peer.messages.length > 0);
      assert.deepEqual(peer.messages.splice(0), [{ channel: '/news', data }]);
    }
  }

  test('holds the polls of eight tabs at once, by one connection', async () => {
    const peers = await Promise.all(Array.from({ length: TABS }, (_, at) => open(`tab ${at}`)));
    for (const peer of peers) {
      assert.equal(await peer.connect(server.url, { transports: ['long-polling'] }), 'long-polling');
      await peer.subscribe('/news');
    }
    // By HTTP/1.1 two of them would wait for a connection.
    await metricIs(admin, 'mirant_held_connects', TABS);
    assert.equal(await metric(admin, 'mirant_http2_streams'), TABS);
    await told(peers, 'to all tabs');
    const protocols = await Promise.all(
      peers.map(({ tab }) =>
        tab.evaluate(() => {
          const requests = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/cometd'));
          // A request that is open has none yet.
          return [...new Set(requests.map(({ nextHopProtocol }) => nextHopProtocol))].filter(Boolean).join();
        }),
      ),
    );
    assert.deepEqual(new Set(protocols), new Set(['h2']));
    await Promise.all(peers.map((peer) => peer.close()));
    await metricIs(admin, 'mirant_http2_streams', 0);
  });

  for (const [transport, gauge] of [
    ['websocket', 'mirant_websockets'],
    ['xhr-streaming', 'mirant_streamed_connects'],
    ['eventsource', 'mirant_event_streams'],
  ]) {
    test(`speaks ${transport} by streams of that connection`, async () => {
      const peers = [await open('one'), await open('other')];
      for (const peer of peers) {
        assert.equal(await peer.connect(server.url, { transports: [transport] }), transport);
        await peer.subscribe('/news');
      }
      await metricIs(admin, gauge, 2);
      assert.ok((await metric(admin, 'mirant_http2_streams')) >= 2);
      for (const data of ['one', { two: 2 }]) await told(peers, data);
      await Promise.all(peers.map((peer) => peer.close()));
      await metricIs(admin, gauge, 0);
    });
  }

  test('reads an event stream of a channel', async () => {
    const tab = await context.newPage();
    await tab.goto(`${server.origin}/static/pages/cometd-plugins.html`);
    await tab.evaluate(() => {
      globalThis.heard = [];
      globalThis.source = new EventSource('/events?channel=/news');
      source.onmessage = ({ data }) => heard.push(JSON.parse(data).data);
      return new Promise((resolve) => (source.onopen = resolve));
    });
    const publisher = await open('publisher');
    await publisher.connect(server.url, { transports: ['long-polling'] });
    await publisher.publish('/news', 'by an event stream');
    await tab.waitForFunction(() => heard.join() === 'by an event stream');
    await Promise.all([tab.close(), publisher.close()]);
  });
});

describe('a proxy that speaks HTTP/2 to the server', () => {
  const kinds = {
    HAProxy: [haproxy, (at) => [[`server mirant ${at}`, `server mirant ${at} proto h2`]]],
    Caddy: [caddy, (at) => [[`reverse_proxy ${at} {`, `reverse_proxy h2c://${at} {`]]],
  };
  for (const [name, [kind, changes]] of Object.entries(kinds)) {
    test(name, async () => {
      const settings = ['http.http2_prior_knowledge=true', 'http.trusted_proxies=["127.0.0.1"]'];
      const { server, admin } = await start(settings);
      const { host } = new URL(server.origin);
      let proxy;
      try {
        proxy = await Proxy.start(kind, host, { changes: changes(host) });
        const url = `${proxy.origin}/cometd`;
        const sessions = await Promise.all(Array.from({ length: TABS }, () => RawSession.open(url)));
        for (const session of sessions) await session.ask('/meta/subscribe', { subscription: '/news' });
        const polls = sessions.map((session) => session.ask('/meta/connect', { connectionType: 'long-polling' }));
        await metricIs(admin, 'mirant_held_connects', TABS);
        assert.equal(await metric(admin, 'mirant_http2_streams'), TABS);
        const publisher = await RawSession.open(url);
        await publisher.ask('/news', { data: 'through a proxy' });
        for (const messages of await Promise.all(polls)) assert.equal(messages[0].data, 'through a proxy');
      } finally {
        await proxy?.close();
        await server.stop();
      }
    });
  }
});
