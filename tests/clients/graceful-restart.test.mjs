import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { freePort } from './support/proxy.mjs';
import { metricIs } from './support/metrics.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';

/** How long nothing listens: a client that asks at once finds its port closed. */
const AWAY = 1_000;

let browser;
const elsewhere = await serveStatic();
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await elsewhere.close();
});

const settings = [`http.allowed_origins=${JSON.stringify([elsewhere.origin])}`];

describe('JSONP clients are back soon after a restart that answered them', () => {
  for (const page of ['dojox-1.6', 'dojox-1.7', 'faye', 'cometd', 'cometd-jquery']) {
    // Each step is awaited 15 s at most; a client that waits for a script which does not come needs 40 s.
    test(page, async () => {
      const admin = `127.0.0.1:${await freePort()}`;
      const holds = () => metricIs(`http://${admin}`, 'mirant_held_connects', 1);
      await onStage([...settings, `admin.listen=["${admin}"]`], async (stage) => {
        const peer = stage.add(
          await browserPeer(stage, 'alice', browser, `${page}.html`, elsewhere.origin),
        );
        await peer.connect(stage.server.url, { transports: ['callback-polling'] });
        await holds();
        await stage.server.restart(AWAY);
        await peer.until('a new session', () => peer.reconnections > 0);
        await holds();
      });
    });
  }
});
