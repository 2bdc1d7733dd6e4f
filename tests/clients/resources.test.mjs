import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { metric, metricIs } from './support/metrics.mjs';
import { freePort } from './support/proxy.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';

let browser;
const allowed = await serveStatic();
const stranger = await serveStatic();
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await Promise.all([allowed.close(), stranger.close()]);
});

const CHANNEL = '/news/one';
const EVER = 'Thu, 01 Jan 1970 00:00:00 GMT';
const PLACES = { 'its own origin': undefined, 'another origin': allowed.origin };

/** Runs `play` with a page of an origin, a resource, and the admin listener of the server. */
async function withPage(origin, play) {
  const admin = `127.0.0.1:${await freePort()}`;
  const settings = [
    `admin.listen=["${admin}"]`,
    `http.allowed_origins=["${allowed.origin}"]`,
    'channel=[{ pattern = "/news/**", resource = true }]',
  ];
  await onStage(settings, async (stage) => {
    const page = stage.add(await browserPeer(stage, 'page', browser, 'resources.html', origin));
    const url = `${stage.server.origin}/resources${CHANNEL}`;
    const ask = (method, headers = {}, body = undefined) =>
      page.fetch(url, { method, headers, body });
    await play({ ask, stage, url, admin: `http://${admin}` });
  });
}

for (const [place, origin] of Object.entries(PLACES)) {
  describe(`a page of ${place}`, () => {
    test('reads and changes a resource', () =>
      withPage(origin, async ({ ask, stage }) => {
        const session = await RawSession.open(stage.server.url);
        await session.ask('/meta/subscribe', { subscription: CHANNEL });
        assert.equal((await ask('GET')).status, 404);

        const text = '{"b": 1.10, "a": "\u2028é"}';
        const made = await ask('PUT', { 'If-None-Match': '*' }, text);
        assert.equal(made.status, 201);
        const [event] = await session.ask('/meta/connect', { connectionType: 'long-polling' });
        assert.deepEqual(event, { channel: CHANNEL, data: JSON.parse(text) });
        const read = await ask('GET');
        assert.deepEqual([read.status, read.text], [200, text]);
        assert.equal(read.headers.etag, made.headers.etag);
        assert.ok(Date.parse(read.headers['last-modified']) <= Date.now());

        const { etag } = read.headers;
        assert.equal((await ask('GET', { 'If-None-Match': etag })).status, 304);
        assert.equal((await ask('PUT', { 'If-Match': '"other"' }, '1')).status, 412);
        assert.equal((await ask('POST', { 'If-Match': etag }, '[1,2]')).status, 200);
        assert.equal((await ask('PATCH', { 'Content-Range': 'bytes 4-6/*' }, ',3]')).status, 200);
        assert.equal((await ask('GET')).text, '[1,2,3]');
        assert.equal((await ask('DELETE')).status, 204);
        const gone = await ask('GET');
        assert.equal(gone.status, 410);
        assert.match(gone.headers.etag, /^"/);
      }));

    test('waits for the changes of a resource', () =>
      withPage(origin, async ({ ask, stage, admin }) => {
        const publisher = await RawSession.open(stage.server.url);
        let has = await ask('PUT', {}, '[0,1]');
        const wait = () =>
          ask('GET', { 'When-Modified-After': EVER, 'If-None-Match': has.headers.etag });
        for (let round = 1; round <= 5; round += 1) {
          const waiting = wait();
          await metricIs(admin, 'mirant_watched_resources', 1);
          await publisher.ask(CHANNEL, { data: [round, 1] });
          has = await waiting;
          assert.deepEqual([has.status, has.text], [200, `[${round},1]`]);
          await metricIs(admin, 'mirant_watched_resources', 0);
        }
        // What came in between is not missed.
        await publisher.ask(CHANNEL, { data: [6, 1] });
        has = await wait();
        assert.deepEqual([has.status, has.text], [200, '[6,1]']);

        const part = wait();
        await metricIs(admin, 'mirant_watched_resources', 1);
        assert.equal((await ask('PATCH', { 'Content-Range': 'bytes 3-3/*' }, '2')).status, 200);
        const { status, text, headers } = await part;
        assert.deepEqual([status, text], [206, '2']);
        assert.equal(headers['content-range'], 'bytes 3-3/5');
      }));
  });
}

test('a page of an origin that is not allowed neither reads nor changes a resource', () =>
  withPage(stranger.origin, async ({ ask, url, admin }) => {
    const own = await fetch(url, { method: 'PUT', body: '1' });
    assert.equal(own.status, 201);
    // Only a PUT has a preflight.
    for (const method of ['GET', 'POST', 'PUT']) {
      await assert.rejects(ask(method, {}, method === 'GET' ? undefined : '2'), /Failed to fetch/);
    }
    // By the server, not only by the browser.
    assert.equal(await metric(admin, 'mirant_refused_origins_total'), 3);
    assert.equal(await (await fetch(url)).text(), '1');
  }));
