import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { EventStream } from './support/event-stream.mjs';
import { metricIs } from './support/metrics.mjs';
import { freePort } from './support/proxy.mjs';
import { RawSocket } from './support/raw-socket.mjs';
import { post, RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { within } from './support/within.mjs';

const HANDSHAKE = { version: '1.0', supportedConnectionTypes: ['websocket', 'long-polling'] };
const NEWS = '/news';

/** One session, and who publishes to it. */
async function begin(stage, connectionType, ask) {
  const { clientId } = await ask('/meta/handshake', HANDSHAKE);
  await ask('/meta/connect', { clientId, connectionType });
  await ask('/meta/subscribe', { clientId, subscription: NEWS });
  const publisher = await RawSession.open(stage.server.url);
  return { clientId, publish: (data) => publisher.ask(NEWS, { data }) };
}

/** Waits with a poll, which resolves as `post` does. */
const poll = (stage, clientId) =>
  post(stage.server.url, [{ channel: '/meta/connect', clientId, connectionType: 'long-polling' }]);

const askByPost = (stage) => async (channel, fields) => {
  const { text } = await post(stage.server.url, [{ channel, ...fields }]);
  return JSON.parse(text)[0];
};

describe('a session moves', () => {
  test('from a WebSocket to polls and back, and receives every message once', () =>
    onStage([], async (stage) => {
      const first = stage.add(await RawSocket.open(stage.server.url));
      const ask = (channel, fields) => first.ask(channel, fields);
      const { clientId, publish } = await begin(stage, 'websocket', ask);
      const connect = { clientId, connectionType: 'websocket' };
      first.send('/meta/connect', connect);
      await publish(1);
      assert.deepEqual(await first.next(), { channel: NEWS, data: 1 });

      const answer = poll(stage, clientId);
      // The held connect is given up, then the socket.
      assert.equal((await first.next()).successful, false);
      assert.equal(await within('the socket to close', first.closed), 1000);
      await publish(2);
      const [event, reply] = JSON.parse((await answer).text);
      assert.deepEqual(event, { channel: NEWS, data: 2 });
      assert.equal(reply.successful, true);

      await publish(3);
      const second = stage.add(await RawSocket.open(stage.server.url));
      second.send('/meta/connect', connect);
      assert.deepEqual(await second.next(), { channel: NEWS, data: 3 });
      await publish(4);
      assert.deepEqual(await second.next(), { channel: NEWS, data: 4 });
      const end = await second.ask('/meta/disconnect', { clientId });
      assert.deepEqual([end.channel, end.successful], ['/meta/disconnect', true]);
      assert.equal(await within('the socket to close', second.closed), 1000);
    }));

  test('from a poll that is held to a WebSocket', async () => {
    const admin = `127.0.0.1:${await freePort()}`;
    await onStage([`admin.listen=["${admin}"]`], async (stage) => {
      const { clientId, publish } = await begin(stage, 'long-polling', askByPost(stage));
      const answer = poll(stage, clientId);
      await metricIs(`http://${admin}`, 'mirant_held_connects', 1);
      const socket = stage.add(await RawSocket.open(stage.server.url));
      socket.send('/meta/connect', { clientId, connectionType: 'websocket' });
      // As when one poll displaces another.
      assert.equal((await answer).status, 409);
      await publish(1);
      assert.deepEqual(await socket.next(), { channel: NEWS, data: 1 });
    });
  });

  test('from an event stream to polls and back', () =>
    onStage([], async (stage) => {
      const { clientId, publish } = await begin(stage, 'long-polling', askByPost(stage));
      const open = async () => stage.add(await EventStream.open(`${stage.server.url}/${clientId}`));
      const first = await open();
      await publish(1);
      assert.equal((await first.next()).data, JSON.stringify([{ channel: NEWS, data: 1 }]));

      const answer = poll(stage, clientId);
      await assert.rejects(first.next(), /the stream ended/);
      await publish(2);
      assert.deepEqual(JSON.parse((await answer).text)[0], { channel: NEWS, data: 2 });

      const second = await open();
      await publish(3);
      assert.equal((await second.next()).data, JSON.stringify([{ channel: NEWS, data: 3 }]));
    }));

  test('from WebSocket to WebSocket in mid-stream, and receives every message once, in order', () =>
    onStage([], async (stage) => {
      const open = async () => stage.add(await RawSocket.open(stage.server.url));
      let socket = await open();
      const ask = (channel, fields) => socket.ask(channel, fields);
      const { clientId, publish } = await begin(stage, 'websocket', ask);

      const received = [];
      const take = ({ channel, data }) => channel === NEWS && received.push(data);
      let hops = 0;
      const hop = async () => {
        const next = await open();
        next.send('/meta/connect', { clientId, connectionType: 'websocket' });
        assert.equal(await within('the socket to close', socket.closed), 1000);
        socket.taken().forEach(take);
        socket = next;
        hops += 1;
      };
      let published = 0;
      const publishing = (async () => {
        while (hops < 100) await publish((published += 1));
      })();
      while (hops < 100) await hop();
      await publishing;
      while (received.length < published) take(await socket.next());
      assert.deepEqual(received, Array.from({ length: published }, (_, index) => index + 1));
    }));
});
