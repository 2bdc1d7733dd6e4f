// Pages have what they missed: after they were loaded anew, and after the server was away.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { onStageWithHistory, publish } from './support/kept.mjs';
import { CHANNEL, missed } from './support/missed.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const transport of ['long-polling', 'websocket']) {
  const open = (stage, name) => browserPeer(stage, name, browser, 'cometd.html');
  missed({ name: 'cometd 9.0.0 in Chromium', open, transport, options: 'replay_expired="fail"' });
}

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
