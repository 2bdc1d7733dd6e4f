import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { metric, metricIs } from './support/metrics.mjs';
import { freePort } from './support/proxy.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const NEWS = '/news';

/** Runs `play` on a stage of its own, with the address of its server's figures. */
async function withFigures(settings, play) {
  const admin = `127.0.0.1:${await freePort()}`;
  await onStage([`admin.listen=["${admin}"]`, ...settings], (stage) => play(stage, `http://${admin}`));
}

test('a connect that a newer one displaces is not sent again', () =>
  withFigures([], async (stage, admin) => {
    const page = stage.add(await browserPeer(stage, 'page', browser, 'resources.html'));
    let clientId;
    const post = async (channel, fields) => {
      const body = JSON.stringify([{ channel, clientId, ...fields }]);
      const { status, text } = await page.fetch(stage.server.url, { method: 'POST', body });
      return { status, messages: text ? JSON.parse(text) : [] };
    };
    const handshake = { version: '1.0', supportedConnectionTypes: ['long-polling'] };
    ({ clientId } = (await post('/meta/handshake', handshake)).messages[0]);
    const connect = () => post('/meta/connect', { connectionType: 'long-polling' });
    // From now on the browser has connections that it used before.
    await connect();
    await post('/meta/subscribe', { subscription: NEWS });
    const older = connect();
    await metricIs(admin, 'mirant_held_connects', 1);
    const newer = connect();
    assert.equal((await older).status, 409);
    const publisher = await RawSession.open(stage.server.url);
    await publisher.ask(NEWS, { data: 1 });
    const { status, messages } = await newer;
    assert.equal(status, 200);
    assert.deepEqual(messages[0], { channel: NEWS, data: 1 });
    assert.equal(await metric(admin, 'mirant_displaced_connects_total'), 1);
  }));

for (const transport of ['long-polling', 'websocket']) {
  test(`pages of two servers on one host keep their sessions by ${transport}`, async () => {
    const context = await browser.newContext();
    const shared = { newContext: () => context };
    const settings = ['bayeux.timeout=100ms'];
    const open = async (stage, name) => {
      const page = stage.add(await browserPeer(stage, name, shared, 'cometd.html'));
      await page.connect(stage.server.url, { transports: [transport] });
      await page.subscribe(NEWS);
      return page;
    };
    await withFigures(settings, (one, figuresOfOne) =>
      withFigures(settings, async (two, figuresOfTwo) => {
        const pages = [await open(one, 'alice'), await open(two, 'bob')];
        for (let number = 0; number < 20; number += 1) {
          for (const page of pages) {
            const { responses } = page;
            await page.publish(NEWS, number);
            assert.deepEqual(await page.receive(), { channel: NEWS, data: number });
            // Its polls go on meanwhile.
            if (transport === 'long-polling') {
              await page.until('more responses', () => page.responses > responses + 1);
            }
          }
        }
        for (const page of pages) assert.equal(page.reconnections, 0);
        for (const figures of [figuresOfOne, figuresOfTwo]) {
          assert.equal(await metric(figures, 'mirant_handshakes_total'), 1);
        }
      }),
    );
  });
}
