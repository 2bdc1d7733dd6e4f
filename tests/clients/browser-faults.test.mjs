// cometd in Chromium, with ack and each way to receive, behind connections that fail at random. A
// failure names its seed, which FAULT_SEED repeats.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { browserPeer, launch } from './support/browser.mjs';
import { FaultyProxy } from './support/faulty-proxy.mjs';
import { Random } from './support/random.mjs';
import { withoutRepeats } from './support/repeats.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const SETTINGS = [
  'bayeux.max_interval=60s',
  'bayeux.max_queue=100000',
  'streaming.heartbeat_interval=100ms',
];
const PAGE = 'cometd-extensions.html?version=9&silence=500';
/** How many faults a client has to live through; a frame's, which hears only silence, takes long. */
const enough = (transport) => (transport === 'iframe' ? 5 : 15);
/** Milliseconds between two publishes: a browser on a busy machine has to be able to follow. */
const PACE = 2;
const SEED = Number(process.env.FAULT_SEED ?? Math.floor(Math.random() * 1e9));

describe('while connections of a browser fail, every publish arrives in order, with ack', () => {
  for (const transport of [
    'websocket',
    'long-polling',
    'xhr-streaming',
    'multipart',
    'iframe',
    'eventsource',
  ]) {
    test(`by ${transport} (seed ${SEED})`, () =>
      onStage(SETTINGS, async (stage) => {
        const proxy = stage.add(await FaultyProxy.start(stage.server.origin, new Random(SEED)));
        const behind = {
          server: { origin: proxy.origin, url: `${proxy.origin}/cometd` },
          log: (line) => stage.log(line),
        };
        const bob = stage.add(await browserPeer(behind, 'bob', browser, PAGE));
        const configuration = { backoffIncrement: 10, maxBackoff: 100, logLevel: 'error' };
        const options = { transports: [transport], extensions: ['Ack'], configuration };
        assert.equal(await bob.connect(behind.server.url, options), transport);
        await bob.subscribe('/news');

        const alice = await RawSession.open(stage.server.url);
        let published = 0;
        const publish = () => alice.ask('/news', { data: (published += 1) });
        proxy.isStormy = true;
        while (proxy.faults < enough(transport)) {
          await publish();
          await delay(PACE);
        }
        await proxy.calm();
        await publish();
        const received = () => bob.messages.map(({ data }) => data);
        await bob.until('the last message', () => received().includes(published));
        const all = Array.from({ length: published }, (_, index) => index + 1);
        assert.deepEqual(withoutRepeats(received()), all);
        assert.equal(bob.reconnections, 0, 'its session was lost');
      }));
  }
});
