import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { COMETD_3, COMETD_7, cometd9, faye14, nodePeer } from './support/node-peer.mjs';
import { OvertakenConnect } from './support/overtaking.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { within } from './support/within.mjs';

const clients = {
  'cometd 3.1.14': nodePeer(COMETD_3),
  'cometd 7.0.19': nodePeer(COMETD_7),
  'cometd 9.0.0': cometd9,
  'faye 1.4.3': faye14,
};

/** Carried by the connect before the one that is overtaken. */
const EVENT = 'the last event';

// The CometD client gives up its disconnect if its connect fails meanwhile.
describe('a connect that its disconnect overtakes', () => {
  for (const [name, open] of Object.entries(clients)) {
    test(`lets ${name} end its session`, () =>
      onStage([], async (stage) => {
        const proxy = stage.add(await OvertakenConnect.start(stage.server.origin, EVENT));
        const bob = stage.add(await open(stage, 'bob'));
        await bob.connect(`${proxy.origin}/cometd`, { transports: ['long-polling'] });
        await bob.subscribe('/news');
        const alice = await RawSession.open(stage.server.url);
        await alice.ask('/news', { data: EVENT });
        await bob.receive();
        await within('the next connect', proxy.waiting.promise);
        await bob.until('no request but its connect', () => bob.inFlight === 1);

        const before = bob.responses;
        const ended = bob.disconnect();
        await bob.until('the reply to its connect', () => bob.responses === before + 1);
        proxy.answered.resolve();
        await ended;
        assert.deepEqual(bob.failures, []);
      }));
  }
});
