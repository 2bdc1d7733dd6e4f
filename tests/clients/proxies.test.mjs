import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { EventStream } from './support/event-stream.mjs';
import { metric, metricIs } from './support/metrics.mjs';
import { cometd9, faye14 } from './support/node-peer.mjs';
import { apache, caddy, freePort, haproxy, nginx, Proxy } from './support/proxy.mjs';
import { RawSocket } from './support/raw-socket.mjs';
import { post, RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { BOUND, within } from './support/within.mjs';

const clients = {
  'cometd 9.0.0 in Node': { open: cometd9, transport: 'long-polling' },
  'cometd 9.0.0 in Node over WebSocket': { open: cometd9, transport: 'websocket' },
  'faye 1.4.3 in Node': { open: faye14, transport: 'long-polling', resubscribes: true },
};

const proxies = {
  nginx: { kind: nginx },
  // What nginx before 1.29.7 uses unless it is told otherwise.
  'nginx with HTTP/1.0': {
    kind: nginx,
    changes: [['proxy_http_version 1.1;', 'proxy_http_version 1.0;']],
    version: '1.0',
    hasWebSocket: false,
  },
  haproxy: { kind: haproxy },
  caddy: { kind: caddy },
  // It does not notice that a client went away, as its example says.
  apache: { kind: apache, noticesLoss: false },
};

/** bayeux.timeout */
const TIMEOUT = 30_000;
const HOST = 'comet.example.com';
const HANDSHAKE = {
  channel: '/meta/handshake',
  version: '1.0',
  supportedConnectionTypes: ['long-polling'],
};
const POLL = { connectionType: 'long-polling' };

/** Ways in which a client leaves a request it waits for. */
const DEPARTURES = {
  closes: (request) => request.destroy(),
  resets: (request) => request.socket.resetAndDestroy(),
};

const started = new WeakMap();

/** The Bayeux endpoint behind the stage's one proxy, which ends with the stage. */
async function urlBehind({ kind, changes, unix }, stage) {
  if (!started.has(stage)) {
    const upstream = new URL(stage.server.url).host;
    const all = unix ? overSocket(unix, upstream) : changes;
    const start = Proxy.start(kind, upstream, { changes: all, log: (line) => stage.log(line) });
    started.set(stage, start);
    stage.add({ close: async () => (await start).close() });
  }
  return `${(await started.get(stage)).origin}/cometd`;
}

/** What makes an example use its line for a Unix socket, and not the one for an address. */
function overSocket({ line, path, other }, upstream) {
  const socket = line.replace('/run/mirant/http.sock', path);
  return [[other.replace('127.0.0.1:8080', upstream), ''], [`# ${line}`, socket]];
}

/** Requires that an event stream carries events as they are published. */
async function streamAtOnce(stage, url) {
  const stream = stage.add(await EventStream.open(new URL('/events?channel=/news', url)));
  const publisher = await RawSession.open(stage.server.url);
  for (const data of ['first', 'second']) {
    await publisher.ask('/news', { data });
    assert.equal((await stream.next()).data, JSON.stringify({ channel: '/news', data }));
  }
}

/** Connects whose responses are streams. */
const STREAMS = ['xhr-streaming', 'multipart', 'iframe', 'message-http'];
/** Events that are published one after the other, each when the last has come. */
const EVENTS = 40;
/** What an event may take on the average (ms): a proxy that waits for more waits 200. */
const DELAY = 100;

/** Requires that the stream of a connect carries events as they are published, and ends well. */
async function connectAtOnce(stage, url, type) {
  const session = await RawSession.open(url);
  await session.ask('/meta/subscribe', { subscription: '/news' });
  const publisher = await RawSession.open(stage.server.url);
  const stream = stage.add(await session.stream(type));
  const start = performance.now();
  for (let number = 0; number < EVENTS; number += 1) {
    const event = { channel: '/news', data: `event ${number}` };
    await publisher.ask('/news', { data: event.data });
    await stream.until(JSON.stringify(event));
  }
  const took = performance.now() - start;
  assert.ok(took < EVENTS * DELAY, `${EVENTS} events took ${took} ms`);
  await session.ask('/meta/disconnect');
  assert.match(await stream.rest(), /"\/meta\/connect"/);
}

/** Requires that the event stream of a session carries events as they are published. */
async function sessionStreamAtOnce(stage, url) {
  const session = await RawSession.open(url);
  await session.ask('/meta/subscribe', { subscription: '/news' });
  const publisher = await RawSession.open(stage.server.url);
  const stream = stage.add(await session.eventStream());
  for (const data of ['first', 'second']) {
    await publisher.ask('/news', { data });
    assert.deepEqual(JSON.parse((await stream.next()).data), [{ channel: '/news', data }]);
  }
}

/** A client leaves the stream of a connect; what is published then is in its next. */
async function loseNothingOfStreams(type, stage, url, admin) {
  const streams = type === 'message-http' ? 'message_streams' : 'streamed_connects';
  const areGone = () => metricIs(admin, `mirant_${streams}`, 0);
  const session = await RawSession.open(url);
  await session.ask('/meta/subscribe', { subscription: '/news' });
  const publisher = await RawSession.open(stage.server.url);
  for (let round = 1; round <= 3; round += 1) {
    const stream = await session.stream(type);
    await publisher.ask('/news', { data: `heard ${round}` });
    await stream.until(`"heard ${round}"`);
    stream.close();
    await areGone();
    await publisher.ask('/news', { data: `missed ${round}` });
    const next = await session.stream(type);
    const text = await next.until(`"missed ${round}"`);
    assert.ok(!text.includes('heard'), text);
    next.close();
    await areGone();
  }
}

/** A client leaves a held connect; what is published then is for its next connect. */
async function loseNothing(depart, stage, url, admin) {
  const session = await RawSession.open(url);
  await session.ask('/meta/subscribe', { subscription: '/news' });
  const publisher = await RawSession.open(url);

  for (let round = 1; round <= 5; round += 1) {
    const { request, response } = session.send('/meta/connect', POLL);
    const end = assert.rejects(response);
    await metricIs(admin, 'mirant_held_connects', 1);
    depart(request);
    await within('the request to end', end);
    await metricIs(admin, 'mirant_held_connects', 0);
    await publisher.ask('/news', { data: round });
    const [event, reply] = await session.ask('/meta/connect', POLL);
    assert.deepEqual(event, { channel: '/news', data: round });
    assert.equal(reply.successful, true);
  }
  assert.equal(await metric(admin, 'mirant_lost_connects_total'), 5);
}

/** Makes a resource, waits for its change, patches and deletes it. */
async function changeAndWait(stage, url) {
  const ask = async (method, { headers = {}, body } = {}) => {
    const signal = AbortSignal.timeout(BOUND);
    const response = await fetch(url, { method, headers, body, signal });
    const { status } = response;
    return { status, tag: response.headers.get('etag'), text: await response.text() };
  };
  assert.equal((await ask('GET')).status, 404);
  assert.equal((await ask('PUT', { body: '[1,2]' })).status, 201);
  const { status, tag, text } = await ask('GET');
  assert.deepEqual([status, text], [200, '[1,2]']);
  const never = 'Thu, 01 Jan 1970 00:00:00 GMT';
  const waits = { 'If-None-Match': tag, 'When-Modified-After': never };
  const change = ask('GET', { headers: waits });
  const other = await RawSession.open(stage.server.url);
  await other.ask('/news/a', { data: { n: 3 } });
  const changed = await change;
  assert.deepEqual([changed.status, changed.text], [200, '{"n":3}']);
  const part = { 'Content-Range': 'bytes 5-5/*' };
  assert.equal((await ask('PATCH', { headers: part, body: '4' })).status, 200);
  assert.equal((await ask('GET')).text, '{"n":4}');
  assert.equal((await ask('HEAD')).status, 200);
  assert.equal((await ask('DELETE')).status, 204);
  assert.equal((await ask('GET')).status, 410);
}

for (const [name, proxy] of Object.entries(proxies)) {
  const { noticesLoss = true, hasWebSocket = true, version = '1.1' } = proxy;

  for (const [build, client] of Object.entries(clients)) {
    if (client.transport === 'websocket' && !hasWebSocket) continue;
    behaviours({
      name: `${build} through ${name}`,
      url: (stage) => urlBehind(proxy, stage),
      ...client,
    });
  }

  describe(`through ${name}`, () => {
    // A proxy that does not notice a loss cannot tell Mirant of it.
    for (const [how, depart] of noticesLoss ? Object.entries(DEPARTURES) : []) {
      test(`loses nothing when a waiting client ${how} its connection`, async () => {
        const admin = `127.0.0.1:${await freePort()}`;
        await onStage([`admin.listen=["${admin}"]`], async (stage) => {
          const url = await urlBehind(proxy, stage);
          await loseNothing(depart, stage, url, `http://${admin}`);
        });
      });
    }

    test('hands on an event stream as it comes', () =>
      onStage([], async (stage) => streamAtOnce(stage, await urlBehind(proxy, stage))));

    test("hands on a session's event stream as it comes", () =>
      onStage([], async (stage) => sessionStreamAtOnce(stage, await urlBehind(proxy, stage))));

    for (const type of STREAMS) {
      test(`hands on the stream of a connect as it comes, by ${type}`, () =>
        onStage([], async (stage) => connectAtOnce(stage, await urlBehind(proxy, stage), type)));

      if (!noticesLoss) continue;
      test(`tells the server when the stream of a connect is lost, by ${type}`, async () => {
        const admin = `127.0.0.1:${await freePort()}`;
        await onStage([`admin.listen=["${admin}"]`], async (stage) => {
          const url = await urlBehind(proxy, stage);
          await loseNothingOfStreams(type, stage, url, `http://${admin}`);
        });
      });
    }

    test('hands on the plug-ins', () =>
      onStage([], async (stage) => {
        const path = '/mirant/xhr-streaming.js';
        const behind = await fetch(new URL(path, await urlBehind(proxy, stage)));
        assert.equal(behind.status, 200);
        const straight = await fetch(new URL(path, stage.server.url));
        assert.equal(await behind.text(), await straight.text());
      }));

    test('hands on resources: what is there, what changes, and who waits', () =>
      onStage(['channel=[{pattern="/news/**", resource=true}]'], async (stage) => {
        const url = await urlBehind(proxy, stage);
        await changeAndWait(stage, new URL('/resources/news/a', url));
      }));

    test('hands on nothing else', () =>
      onStage([], async (stage) => {
        const url = await urlBehind(proxy, stage);
        for (const path of ['/', '/metrics', '/elsewhere', '/cometdx', '/eventsx', '/resourcesx', '/mirantx']) {
          const response = await fetch(new URL(path, url));
          const text = await response.text();
          assert.ok(!text.includes('nothing at this path'), `${path} was handed on: ${text}`);
        }
      }));

    if (hasWebSocket) {
      test('tells the server when a WebSocket is lost', async () => {
        const admin = `127.0.0.1:${await freePort()}`;
        await onStage([`admin.listen=["${admin}"]`], async (stage) => {
          const socket = await RawSocket.open(await urlBehind(proxy, stage));
          await metricIs(`http://${admin}`, 'mirant_websockets', 1);
          await socket.close();
          await metricIs(`http://${admin}`, 'mirant_websockets', 0);
        });
      });
    }

    test('takes the pages of the public host, and no others', () =>
      onStage([], async (stage) => {
        const url = await urlBehind(proxy, stage);
        const ask = (Host, headers) => post(url, [HANDSHAKE], { Host, ...headers });
        const own = [
          [HOST, { Origin: `http://${HOST}` }],
          // TLS may have ended before.
          [HOST, { Origin: `https://${HOST}` }],
          [`${HOST}:8443`, { Origin: `https://${HOST}:8443` }],
          [HOST, { Referer: `https://${HOST}/page.html` }],
        ];
        for (const [host, headers] of own) {
          const { status, text } = await ask(host, headers);
          assert.equal(status, 200, JSON.stringify([host, headers]));
          assert.equal(JSON.parse(text)[0].successful, true);
        }
        const foreign = [
          [HOST, { Origin: 'https://elsewhere.example' }],
          [HOST, { Origin: `https://${HOST}:8443` }],
          [HOST, { Origin: stage.server.origin }],
          [HOST, { Referer: 'https://elsewhere.example/page.html' }],
          // What tells the host is the Host header, and what a client claims of a proxy is not.
          [HOST, { Origin: 'https://elsewhere.example', 'X-Forwarded-Host': 'elsewhere.example' }],
        ];
        for (const [host, headers] of foreign) {
          const { status } = await ask(host, headers);
          assert.equal(status, 403, JSON.stringify([host, headers]));
        }
      }));

    test('ties a session to its browser by the cookie', () =>
      onStage([], async (stage) => {
        const session = await RawSession.open(await urlBehind(proxy, stage));
        assert.match(session.cookie, /^BAYEUX_BROWSER=\w+$/);
        const subscribe = (cookie) =>
          session.ask('/meta/subscribe', { subscription: '/news' }, cookie);
        assert.equal((await subscribe())[0].successful, true);
        for (const cookie of ['', 'BAYEUX_BROWSER=000000000000000000000a']) {
          const [reply] = await subscribe(cookie);
          assert.match(reply.error, /^402/);
        }
        const among = `first=1; ${session.cookie}; last="x y"`;
        assert.equal((await subscribe(among))[0].successful, true);
      }));

    test('hands on many events at once', () =>
      onStage([], async (stage) => {
        const session = await RawSession.open(await urlBehind(proxy, stage));
        await session.ask('/meta/subscribe', { subscription: '/news' });
        const publisher = await RawSession.open(stage.server.url);
        const texts = Array.from({ length: 16 }, (_, index) => `${index}`.padEnd(20_000, '✓é'));
        for (const text of texts) await publisher.ask('/news', { data: text });
        const events = (await session.ask('/meta/connect', POLL)).slice(0, -1);
        assert.deepEqual(events.map((event) => event.data), texts);
      }));

    describe('tells the server', () => {
      let upstream;
      let front;
      const requests = [];
      before(async () => {
        upstream = createServer((request, response) => {
          const { url, headers, httpVersion, socket } = request;
          requests.push({ url, headers, httpVersion, port: socket.remotePort });
          request.resume().on('end', () => response.end('[]'));
        });
        upstream.listen(0, '127.0.0.1');
        await once(upstream, 'listening');
        const { kind, changes } = proxy;
        front = await Proxy.start(kind, `127.0.0.1:${upstream.address().port}`, { changes });
      });
      after(async () => {
        await front?.close();
        upstream.closeAllConnections();
        upstream.close();
        await within('the upstream to close', once(upstream, 'close'));
      });

      test('the host, the client and the scheme', async () => {
        await post(`${front.origin}/cometd/handshake?x=%2Fy`, [HANDSHAKE], { Host: `${HOST}:81` });
        const { url, headers, httpVersion } = requests.pop();
        assert.equal(url, '/cometd/handshake?x=%2Fy');
        assert.equal(httpVersion, version);
        assert.equal(headers.host, `${HOST}:81`);
        assert.equal(headers['x-forwarded-for'], '127.0.0.1');
        assert.equal(headers['x-forwarded-host'], `${HOST}:81`);
        assert.equal(headers['x-forwarded-proto'], 'http');
      });

      if (version !== '1.0') {
        test('over a connection that it keeps', async () => {
          // HAProxy first uses an upstream connection again for the client that opened it.
          const agent = new Agent({ keepAlive: true });
          try {
            for (let round = 0; round < 4; round += 1) {
              await post(`${front.origin}/cometd`, [HANDSHAKE], {}, agent);
            }
          } finally {
            agent.destroy();
          }
          const ports = requests.splice(0).map(({ port }) => port);
          assert.deepEqual(ports, Array(4).fill(ports[0]));
        });
      }
    });
  });
}

describe('nginx that buffers', () => {
  const changes = [['proxy_buffering off;', 'proxy_buffering on;']];
  const proxy = { kind: nginx, changes };
  const through = (play) => () =>
    onStage([], async (stage) => play(stage, await urlBehind(proxy, stage)));

  test('hands on an event stream as it comes', through(streamAtOnce));
  test("hands on a session's event stream as it comes", through(sessionStreamAtOnce));
  for (const type of STREAMS) {
    const play = (stage, url) => connectAtOnce(stage, url, type);
    test(`hands on the stream of a connect as it comes, by ${type}`, through(play));
  }
});

const sockets = {
  nginx: {
    kind: nginx,
    line: 'server unix:/run/mirant/http.sock;',
    other: 'server 127.0.0.1:8080;',
  },
  haproxy: {
    kind: haproxy,
    line: 'server mirant unix@/run/mirant/http.sock',
    other: 'server mirant 127.0.0.1:8080',
  },
};

for (const [name, { kind, line, other }] of Object.entries(sockets)) {
  describe(`through ${name} over a Unix socket`, () => {
    /** Plays with a server that listens on one, and on an address, which the proxy does not know. */
    const through = (play, settings = []) => async () => {
      const folder = await mkdtemp(join(tmpdir(), 'mirant-socket-'));
      try {
        const path = join(folder, 'http.sock');
        const proxy = { kind, unix: { line, other, path } };
        const whole = async (stage) => play(stage, await urlBehind(proxy, stage));
        await onStage(settings, whole, ['--listen', `unix:${path}`]);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    };

    test('hands on an event stream as it comes', through(streamAtOnce));
    test("hands on a session's event stream as it comes", through(sessionStreamAtOnce));
    for (const type of STREAMS) {
      const play = (stage, url) => connectAtOnce(stage, url, type);
      test(`hands on the stream of a connect as it comes, by ${type}`, through(play));
    }

    for (const [how, depart] of Object.entries(DEPARTURES)) {
      test(`loses nothing when a waiting client ${how} its connection`, async () => {
        const admin = `127.0.0.1:${await freePort()}`;
        const play = (stage, url) => loseNothing(depart, stage, url, `http://${admin}`);
        await through(play, [`admin.listen=["${admin}"]`])();
      });
    }

    test('tells the server when a WebSocket is lost', async () => {
      const admin = `127.0.0.1:${await freePort()}`;
      const play = async (stage, url) => {
        const socket = await RawSocket.open(url);
        await metricIs(`http://${admin}`, 'mirant_websockets', 1);
        await socket.close();
        await metricIs(`http://${admin}`, 'mirant_websockets', 0);
      };
      await through(play, [`admin.listen=["${admin}"]`])();
    });

    test('hands on resources: what is there, what changes, and who waits', () => {
      const play = (stage, url) => changeAndWait(stage, new URL('/resources/news/a', url));
      return through(play, ['channel=[{pattern="/news/**", resource=true}]'])();
    });
  });
}

test('a poll without events is held for all of bayeux.timeout', async () => {
  const wait = (proxy) =>
    onStage([], async (stage) => {
      const session = await RawSession.open(await urlBehind(proxy, stage));
      const start = performance.now();
      const { response } = session.send('/meta/connect', POLL);
      const { status, text } = await within('the reply', response, TIMEOUT + BOUND);
      assert.ok(performance.now() - start > TIMEOUT - 500);
      assert.equal(status, 200);
      assert.equal(JSON.parse(text)[0].successful, true);
    });
  await Promise.all(Object.values(proxies).map(wait));
});
