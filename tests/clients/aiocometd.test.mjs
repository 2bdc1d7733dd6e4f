import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { behaviours } from './support/behaviour.mjs';
import { processPeer } from './support/process.mjs';

const PYTHON = fileURLToPath(new URL('.venv/bin/python', import.meta.url));
const CLIENT = fileURLToPath(new URL('drivers/aiocometd_client.py', import.meta.url));
if (!existsSync(PYTHON)) throw new Error('no .venv: run tests/clients/python.sh');

behaviours({
  name: 'aiocometd 0.4.5',
  open: (stage, name) => processPeer(name, PYTHON, [CLIENT], stage),
  transport: 'long-polling',
  resubscribes: true,
  // It drops its held connect before it disconnects.
  watched: false,
});
