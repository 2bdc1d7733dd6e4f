// The hooks of examples/ hear what happens, and answer remote calls of cometd; only if they share the secret.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { withApplication } from './support/application.mjs';
import { COMETD_9, nodePeer } from './support/node-peer.mjs';
import { onStage } from './support/stage.mjs';

const EVENTS = '["session_begun", "session_ended", "subscribed", "unsubscribed", "occupied", "vacated"]';
const TIMEOUT = 5000;

/** Runs `play` with the example, which knows `known`, and a client of a server that signs with `secret`. */
async function withHook(file, { known = 'shared', secret = 'shared', transport = 'websocket' }, play) {
  await withApplication(file, { HOOK_SECRET: known }, secret, async ({ application, url, secretFile }) => {
    const keys = `url = '${url}', secrets = [{ file = '${secretFile}' }], calls = ['/service/orders/**']`;
    const settings = [`hook=[{ ${keys}, events = ${EVENTS}, allow_private = true }]`];
    await onStage(settings, async (stage) => {
      const peer = stage.add(await nodePeer(COMETD_9)(stage, 'alice'));
      await peer.connect(stage.server.url, { transports: [transport] });
      await play({ application, peer });
    });
  });
}

for (const file of ['hook.py', 'hook.mjs']) {
  describe(file, () => {
    for (const transport of ['websocket', 'long-polling']) {
      test(`answers calls by ${transport}, and publishes before it does`, async () => {
        await withHook(file, { transport }, async ({ application, peer }) => {
          await peer.subscribe('/orders');
          const call = (...args) => peer.perform('remoteCall', ...args, TIMEOUT);
          const order = { number: 1, item: 'tea' };
          const answer = await call('orders/new', { item: 'tea' });
          assert.deepEqual([answer.successful, answer.data], [true, order]);
          assert.deepEqual((await peer.receive()).data, order);
          const refused = await call('orders/new', {});
          assert.equal(refused.successful, false);
          assert.match(JSON.stringify(refused), /500:\/service\/orders\/new,which item\?:call_failed/);
          await application.prints(/^\S+Z session_begun /);
          await application.prints(/^\S+Z subscribed \S+ \/orders$/);
          await application.prints(/^\S+Z occupied \S+ \/orders$/);
        });
      });
    }

    test('takes several secrets while one takes the place of another', async () => {
      await withHook(file, { known: 'new shared' }, async ({ peer }) => {
        const answer = await peer.perform('remoteCall', 'orders/new', { item: 'tea' }, TIMEOUT);
        assert.equal(answer.successful, true);
      });
    });

    test('does not answer who signs with another secret', async () => {
      await withHook(file, { secret: 'another' }, async ({ peer }) => {
        const answer = await peer.perform('remoteCall', 'orders/new', { item: 'tea' }, TIMEOUT);
        assert.equal(answer.successful, false);
        assert.match(JSON.stringify(answer), /502:\/service\/orders\/new:backend_failed/);
      });
    });
  });
}
