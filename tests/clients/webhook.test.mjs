// The webhook of examples/ decides, and answers nobody but the server that shares its secret.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { within } from './support/within.mjs';

const EXAMPLE = fileURLToPath(new URL('../../examples/webhook.py', import.meta.url));

/** Runs `play` with the example, and a server that asks it with a secret of its own. */
async function withWebhook(secret, play) {
  const folder = await mkdtemp(join(tmpdir(), 'mirant-webhook-'));
  await writeFile(join(folder, 'secret'), secret);
  const env = { ...process.env, WEBHOOK_SECRET: 'shared' };
  const example = spawn('python3', [EXAMPLE, '0'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = await within('the webhook to listen', once(createInterface(example.stdout), 'line'));
    const settings = [
      `webhook.url=http://127.0.0.1:${/\d+/.exec(line)[0]}/`,
      `webhook.secret={ file = '${join(folder, 'secret')}' }`,
      'webhook.decides=publish',
    ];
    await onStage(settings, ({ server }) => play(server.url));
  } finally {
    example.kill();
    await rm(folder, { recursive: true });
  }
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
