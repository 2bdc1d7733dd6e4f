import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { EventStream } from './support/event-stream.mjs';
import { RawSocket } from './support/raw-socket.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';
import { within } from './support/within.mjs';

let browser;
// Both are known before any server starts: it has to be told whom it allows.
const allowed = await serveStatic();
const stranger = await serveStatic();
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await Promise.all([allowed.close(), stranger.close()]);
});

/** The same pages from another site: the browser keeps the server's cookie from them. */
const otherSite = allowed.origin.replace('127.0.0.1', 'localhost');
const settings = [`http.allowed_origins=${JSON.stringify([allowed.origin, otherSite])}`];
const sameOrigin = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const crossOrigin = (page) => (stage, name) =>
  browserPeer(stage, name, browser, page, allowed.origin);

const JSONP = {
  transport: 'callback-polling',
  // The clients keep a URL below 2000 characters.
  largest: 500,
};
/** These clients see a script that does not load only when the advised time is over. */
const SLOW_TO_NOTICE = { restartSettings: ['bayeux.timeout=2s'] };

behaviours({
  name: 'cometd 9.0.0 in a browser, cross-site',
  open: (stage, name) => browserPeer(stage, name, browser, 'cometd.html', otherSite),
  transport: 'long-polling',
  settings,
});
for (const [name, page] of [
  ['cometd 9.0.0', 'cometd.html'],
  ['cometd-jquery 3.0.0', 'cometd-jquery.html'],
]) {
  behaviours({ name: `${name} in a browser`, open: sameOrigin(page), transport: 'long-polling' });
  behaviours({
    name: `${name} in a browser, cross-origin`,
    open: crossOrigin(page),
    transport: 'long-polling',
    settings,
  });
  behaviours({
    name: `${name} in a browser, cross-origin with JSONP`,
    open: crossOrigin(page),
    settings,
    ...JSONP,
  });
}

for (const version of ['1.6', '1.7']) {
  const page = `dojox-${version}.html`;
  const name = `dojox.cometd ${version}`;
  const falsy = false;
  behaviours({ name: `${name} in a browser`, open: sameOrigin(page), transport: 'long-polling', falsy });
  behaviours({
    name: `${name} in a browser, cross-origin with JSONP`,
    open: crossOrigin(page),
    settings,
    falsy,
    ...JSONP,
    ...SLOW_TO_NOTICE,
  });
}

const faye = { resubscribes: true };
behaviours({
  name: 'faye 1.4.3 in a browser',
  open: sameOrigin('faye.html'),
  transport: 'long-polling',
  ...faye,
});
behaviours({
  name: 'faye 1.4.3 in a browser, cross-origin',
  open: crossOrigin('faye.html'),
  transport: 'cross-origin-long-polling',
  // Its handshake is always made by one of the transports every server has.
  transports: ['cross-origin-long-polling', 'callback-polling'],
  settings,
  ...faye,
  ...SLOW_TO_NOTICE,
});
behaviours({
  name: 'faye 1.4.3 in a browser, cross-origin with JSONP',
  open: crossOrigin('faye.html'),
  settings,
  ...faye,
  ...JSONP,
  ...SLOW_TO_NOTICE,
});

describe('a page of an origin that is not allowed', () => {
  for (const transport of ['websocket', 'long-polling', 'callback-polling']) {
    test(`gets no session by ${transport}`, () =>
      onStage(settings, async (stage) => {
        const page = 'cometd.html';
        const peer = stage.add(await browserPeer(stage, 'eve', browser, page, stranger.origin));
        let connected = false;
        // The client goes on trying until its page is closed.
        peer.connect(stage.server.url, { transports: [transport] }).then(
          () => {
            connected = true;
          },
          () => {},
        );
        // Scripts that are refused count as failed or not, depending on their content type.
        await peer.until('a refusal', () => peer.failures.length > 0 || peer.statuses.includes(403));
        assert.equal(connected, false);
        assert.ok(!peer.statuses.includes(200));
      }));
  }

  test('gets no events by EventSource', () =>
    onStage(settings, async (stage) => {
      const listen = async (name, { origin }) => {
        const peer = await browserPeer(stage, name, browser, 'event-source.html', origin);
        return stage.add(peer).connect(`${stage.server.origin}/events?channel=/news`);
      };
      await listen('alice', allowed);
      await assert.rejects(listen('eve', stranger), /refused/);
    }));

  test('is refused its WebSockets and event streams by the server, not only by the browser', () =>
    onStage(settings, async (stage) => {
      const { url, origin } = stage.server;
      const openBoth = async ({ origin: Origin }) => {
        const stream = stage.add(await EventStream.open(`${origin}/events?channel=/a`, { Origin }));
        const socket = RawSocket.open(url, { Origin }).then((open) => stage.add(open) && 101);
        const refusal = ({ message }) => Number(/response: (\d+)$/.exec(message)[1]);
        return [stream.status, await socket.catch(refusal)];
      };
      assert.deepEqual(await openBoth(allowed), [200, 101]);
      assert.deepEqual(await openBoth(stranger), [403, 403]);
    }));

  test('is refused its scripts by the server, not only by the browser', () =>
    onStage(settings, async ({ server }) => {
      const message = [{ channel: '/meta/handshake', version: '1.0' }];
      const query = new URLSearchParams({ message: JSON.stringify(message), jsonp: 'reply' });
      const statusFor = async ({ origin }) => {
        const request = fetch(`${server.url}?${query}`, { headers: { Referer: `${origin}/page` } });
        return (await within('the script', request)).status;
      };
      assert.equal(await statusFor(allowed), 200);
      assert.equal(await statusFor(stranger), 403);
    }));
});
