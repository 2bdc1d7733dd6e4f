import { test } from 'node:test';

import { AIOCOMETD } from './support/aiocometd-peer.mjs';
import { behaviours } from './support/behaviour.mjs';

for (const { build, open, skip } of AIOCOMETD) {
  if (skip) {
    test(build, { skip }, () => {});
    continue;
  }
  for (const [name, transport] of [
    [build, 'long-polling'],
    [`${build} over WebSocket`, 'websocket'],
  ]) {
    behaviours({
      name,
      open,
      transport,
      resubscribes: true,
      // Its requests are not reported; it drops its held connect before it disconnects.
      watched: false,
    });
  }
}
