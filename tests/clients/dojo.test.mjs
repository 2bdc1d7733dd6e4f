import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

/** Of a browser that it takes to be able to have a frame: neither Safari nor of its kind. */
const userAgent =
  'Mozilla/5.0 (Windows; U; Windows NT 5.1; en-US; rv:1.8.1) Gecko/20061010 Firefox/2.0';
/** The client takes the first it knows, and frames are its last. */
const FRAMES = 'bayeux.transports=["iframe"]';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function join(stage, name) {
  const options = { userAgent };
  const peer = await browserPeer(stage, name, browser, 'dojo-0.4.html', stage.server.origin, options);
  stage.add(peer);
  assert.equal(await peer.connect(stage.server.url), 'iframe');
  return peer;
}

describe('Dojo 0.4.3 in a browser with its forever frame', () => {
  test('publishes to another client and to itself, until it has unsubscribed', () =>
    onStage([FRAMES], async (stage) => {
      const [alice, bob] = await Promise.all([join(stage, 'alice'), join(stage, 'bob')]);
      const channel = '/room/one';
      for (const peer of [alice, bob]) await peer.subscribe(channel);
      const responses = bob.statuses.length;
      for (let round = 0; round < 10; round += 1) {
        const data = { round, text: `it's </script> <!-- "é" \\ ${round}` };
        await alice.publish(channel, data);
        for (const peer of [alice, bob]) assert.deepEqual(await peer.receive(), { channel, data });
      }
      assert.equal(bob.statuses.length, responses, 'one frame carries them all');
      await alice.unsubscribe(channel);
      await bob.publish(channel, 'last');
      assert.equal((await bob.receive()).data, 'last');
      assert.deepEqual(alice.messages, []);
    }));

  test('hears all messages in order, over many frames', () =>
    onStage([FRAMES, 'streaming.lifetime=300ms', 'bayeux.max_interval=60s'], async (stage) => {
      const bob = await join(stage, 'bob');
      const publisher = await RawSession.shake(stage.server.url, ['iframe']);
      await bob.subscribe('/news');
      const responses = bob.statuses.length;
      const published = [];
      while (published.length < 500 || bob.statuses.length < responses + 4) {
        const data = `message ${published.length}`;
        published.push(data);
        await publisher.ask('/news', { data });
      }
      await bob.until('all messages', () => bob.messages.length >= published.length);
      assert.deepEqual(bob.messages.splice(0).map(({ data }) => data), published);
    }));
});
