// Messages that wait before they are processed, and replies that leave later: the two examples, and clients
// that know nothing of that.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { Example } from './support/example.mjs';
import { cometd9, faye14 } from './support/node-peer.mjs';
import { onStageOf } from './support/stage.mjs';

const CLIENTS = [
  ['cometd 9.0.0 over long-polling', cometd9, ['long-polling']],
  ['cometd 9.0.0 over WebSocket', cometd9, ['websocket']],
  ['faye 1.4.3 over long-polling', faye14, ['long-polling']],
  ['faye 1.4.3 over WebSocket', faye14, ['websocket', 'long-polling']],
];

const TOKEN = { token: 'sesame' };

/** Starts an example, and gives `play` a function that connects clients to it. */
async function withExample(example, open, transports, play) {
  await onStageOf(await example, async (stage) => {
    await play(async (name, ext) => {
      const peer = stage.add(await open(stage, name));
      assert.equal(await peer.connect(stage.server.url, { transports, ext }), transports[0]);
      return peer;
    });
  });
}

/** Runs `play` with the path of a file that is not there yet. */
async function withFile(play) {
  const folder = await mkdtemp(join(tmpdir(), 'mirant-log-'));
  try {
    await play(join(folder, 'log'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

for (const [name, open, transports] of CLIENTS) {
  describe(name, { concurrency: true }, () => {
    test('a handshake waits for the token service, and the session is like any other', async () => {
      await withExample(Example.start('admission'), open, transports, async (connect) => {
        const [alice, bob] = await Promise.all([connect('alice', TOKEN), connect('bob', TOKEN)]);
        await bob.subscribe('/news');
        await alice.publish('/news', 'hello');
        assert.deepEqual(await bob.receive(), { channel: '/news', data: 'hello' });
        await alice.disconnect();
      });
    });

    test('a publish is on disk when it is acknowledged, and the slow one keeps its place', async () => {
      await withFile(async (file) => {
        const example = Example.start('durable_publishes', [file]);
        await withExample(example, open, transports, async (connect) => {
          const [alice, bob] = [await connect('alice'), await connect('bob')];
          await bob.subscribe('/*');
          const channels = ['/a', '/slow', '/b'];
          // Together, because requests side by side have no order.
          await alice.perform('together', ...channels.map((channel, data) => ['publish', channel, data]));
          const lines = channels.map((channel, data) => JSON.stringify({ channel, data }));
          assert.equal(await readFile(file, 'utf8'), `${lines.join('\n')}\n`);
          for (const data of [0, 1, 2]) assert.equal((await bob.receive()).data, data);
          await alice.disconnect();
        });
      });
    });
  });
}

test('a handshake with another token is refused for good', async () => {
  await withExample(Example.start('admission'), cometd9, ['websocket'], async (connect) => {
    await assert.rejects(connect('mallory', { token: 'simsim' }), /handshake refused: 403::token_unknown/);
    await assert.rejects(connect('nobody'), /handshake refused: 403::token_missing/);
  });
});

test('what the admission example says to type works as printed', async () => {
  const source = await readFile(new URL('../../examples/admission.rs', import.meta.url), 'utf8');
  const [, block] = /^\/\/! ```sh\n([^]*?)^\/\/! ```/m.exec(source);
  const script = block.replaceAll('//! ', '');
  const server = await Example.start('admission');
  try {
    const here = script.replace('http://127.0.0.1:8080/cometd', server.url);
    assert.notEqual(here, script);
    const { stdout } = await promisify(execFile)('bash', ['-c', here]);
    const [reply] = JSON.parse(stdout);
    assert.equal(reply.successful, true);
    assert.equal(typeof reply.clientId, 'string');
  } finally {
    await server.stop();
  }
});
