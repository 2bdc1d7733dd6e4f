import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { behaviours } from './support/behaviour.mjs';
import { processPeer } from './support/process.mjs';

const CLIENT = fileURLToPath(new URL('drivers/aiocometd_client.py', import.meta.url));

/** The clients, by the module and the folder that python.sh makes for each. */
const CLIENTS = [
  { build: 'aiocometd-ng 0.5.6', module: 'aiocometd_ng', folder: '.venv' },
  // Only there where a Python is that it runs on.
  { build: 'aiocometd 0.4.5', module: 'aiocometd', folder: '.venv-3.9', isExtra: true },
];

for (const { build, module, folder, isExtra } of CLIENTS) {
  const python = fileURLToPath(new URL(`${folder}/bin/python`, import.meta.url));
  if (!existsSync(python)) {
    if (!isExtra) throw new Error(`no ${folder}: run tests/clients/python.sh`);
    const skip = 'LEFT OUT: it needs Python 3.7, 3.8 or 3.9, and none is here';
    test(build, { skip }, () => {});
    continue;
  }
  for (const [name, transport] of [
    [build, 'long-polling'],
    [`${build} over WebSocket`, 'websocket'],
  ]) {
    behaviours({
      name,
      open: (stage, client) => processPeer(client, python, [CLIENT, module], stage),
      transport,
      resubscribes: true,
      // Its requests are not reported; it drops its held connect before it disconnects.
      watched: false,
    });
  }
}
