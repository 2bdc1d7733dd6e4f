// The webhook of examples/ decides, and answers nobody but the server that shares its secret.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { withApplication } from './support/application.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';

/** Runs `play` with the example, and a server that asks it with a secret of its own. */
async function withWebhook(secret, play) {
  await withApplication('webhook.py', { WEBHOOK_SECRET: 'shared' }, secret, async ({ url, secretFile }) => {
    const settings = [`webhook.url=${url}`, `webhook.secret={ file = '${secretFile}' }`, 'webhook.decides=publish'];
    await onStage(settings, ({ server }) => play(server.url));
  });
}

test('the example lets publish but below /news', async () => {
  await withWebhook('shared', async (url) => {
    const session = await RawSession.open(url);
    const [allowed] = await session.ask('/chat/1', { data: 1 });
    assert.equal(allowed.successful, true);
    const [denied] = await session.ask('/news/1', { data: 1 });
    assert.equal(denied.error, '403:/news/1,news come from the newsroom:publish_denied');
  });
});

test('the example does not answer who signs with another secret', async () => {
  await withWebhook('another', async (url) => {
    const session = await RawSession.open(url);
    const [refused] = await session.ask('/chat/1', { data: 1 });
    assert.equal(refused.error, '503::webhook_unavailable');
  });
});
