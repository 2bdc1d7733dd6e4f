// A server that keeps what is published, and who publishes there.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { post } from './requests.mjs';
import { onStage } from './stage.mjs';

/** Runs `play` with a server that keeps messages in files, and loses none of them if it is killed. */
export async function onStageWithHistory(channel, settings, play) {
  const directory = await mkdtemp(join(tmpdir(), 'mirant-history-'));
  const own = [
    `history.directory=${directory}`,
    'history.sync=always',
    `channel=[${channel}]`,
    'bayeux.publish_without_session=true',
    'bayeux.timeout=5s',
    ...settings,
  ];
  try {
    await onStage(own, play);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Publishes numbers one after the other, each in an object; each must be accepted. */
export async function publish(url, channel, ...numbers) {
  for (const n of numbers) {
    const data = { n, event: { createdDate: new Date().toISOString() } };
    const { text } = await post(url, [{ channel, data }]);
    const [{ successful, error }] = JSON.parse(text);
    if (!successful) throw new Error(`${n} was not published: ${error}`);
  }
}
