import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { behaviours } from './support/behaviour.mjs';
import { processPeer } from './support/process.mjs';

const PYTHON = fileURLToPath(new URL('.venv/bin/python', import.meta.url));
const CLIENT = fileURLToPath(new URL('drivers/aiocometd_client.py', import.meta.url));
if (!existsSync(PYTHON)) throw new Error('no .venv: run tests/clients/python.sh');

for (const [name, transport] of [
  ['aiocometd 0.4.5', 'long-polling'],
  ['aiocometd 0.4.5 over WebSocket', 'websocket'],
]) {
  behaviours({
    name,
    open: (stage, client) => processPeer(client, PYTHON, [CLIENT], stage),
    transport,
    resubscribes: true,
    // Its requests are not reported; it drops its held connect before it disconnects.
    watched: false,
  });
}
