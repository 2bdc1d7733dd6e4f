import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { onStage } from './stage.mjs';

const VALUES = [
  'text',
  '',
  0,
  -12.5,
  true,
  false,
  null,
  [],
  {},
  { nested: [1, { deep: null, 'ключ': ['é', '日本語', '😀'] }] },
  'quotes " \' and backslashes \\ \\u0041',
  'what ends scripts and comments: </script> <!-- --> */ /* ]]>',
  'white space \t\n\r and separators \u2028\u2029',
  'of forms and URLs: %41+%20&message=;#?',
];

/** What two connected clients do, in this order; the last ends bob's session. */
const SCENARIOS = {
  async 'publishes to the other client and to itself'({ alice, bob }) {
    await alice.subscribe('/room/one');
    await bob.subscribe('/room/one');
    await alice.publish('/room/one', { from: 'alice' });
    await bob.publish('/room/one', { from: 'bob' });
    for (const peer of [alice, bob]) {
      assert.deepEqual(await peer.receive(), { channel: '/room/one', data: { from: 'alice' } });
      assert.deepEqual(await peer.receive(), { channel: '/room/one', data: { from: 'bob' } });
    }
  },

  async 'receives what a pattern matches'({ alice, bob }) {
    await bob.subscribe('/match/**');
    await alice.publish('/matches/one', 'not matched');
    await alice.publish('/match/one/deep', 'matched');
    assert.equal((await bob.receive()).data, 'matched');
  },

  async 'receives data as it was published'({ alice, bob, falsy, largest }) {
    const values = [...VALUES, '✓'.repeat(largest / 10), 'x'.repeat(largest)];
    await bob.subscribe('/data');
    for (const value of values) {
      await alice.publish('/data', { value });
      assert.deepEqual(await bob.receive(), { channel: '/data', data: { value } });
    }
    for (const data of values.filter((value) => value || falsy)) {
      await alice.publish('/data', data);
      assert.deepEqual(await bob.receive(), { channel: '/data', data });
    }
  },

  async 'receives nothing once unsubscribed'({ alice, bob }) {
    await bob.subscribe('/left');
    await bob.subscribe('/kept');
    await alice.publish('/left', 'before');
    assert.equal((await bob.receive()).data, 'before');
    await bob.unsubscribe('/left');
    await alice.publish('/left', 'after');
    await alice.publish('/kept', 'last');
    assert.deepEqual(await bob.receive(), { channel: '/kept', data: 'last' });
  },

  async 'disconnects, which ends its held connect'({ alice, bob, watched }) {
    if (watched) await bob.until('a held connect', () => bob.inFlight === 1);
    await bob.disconnect();
    if (watched) {
      await bob.until('the held connect to return', () => bob.inFlight === 0);
      assert.deepEqual(bob.failures, []);
    }
    await alice.publish('/kept', 'nobody hears');
  },
};

/** Two clients lose their sessions with the server's end, and find each other again. */
async function restart({ alice, bob, server, resubscribes }) {
  await bob.subscribe('/room/one');
  await alice.publish('/room/one', 'before');
  assert.equal((await bob.receive()).data, 'before');

  await server.restart();
  for (const peer of [alice, bob]) {
    await peer.until('a new session', () => peer.reconnections > 0);
  }
  if (!resubscribes) await bob.subscribe('/room/one');
  await alice.publish('/room/one', 'after');
  assert.equal((await bob.receive()).data, 'after');
  assert.deepEqual([alice.reconnections, bob.reconnections], [1, 1]);
}

/** Runs one scenario and requires that it took every message. */
async function play(scenario, { stage, pair, ...variant }) {
  const { alice, bob } = pair;
  await stage.explain(async () => {
    await scenario({ ...variant, alice, bob, server: stage.server });
    const left = [...alice.messages.splice(0), ...bob.messages.splice(0)];
    assert.deepEqual(left, [], 'messages that should not have come');
  });
}

/**
 * What a client build does with a server, the same for every build.
 *
 * @param {object} variant
 * @param {string} variant.name
 * @param {(stage: object, name: string) => Promise<Peer>} variant.open starts an unconnected client
 * @param {(stage: object) => Promise<string>} [variant.url] what it connects to, if not the server
 * @param {string} variant.transport the one that is to be found in use
 * @param {string[]} [variant.transports] those the client may choose from
 * @param {string[]} [variant.extensions] of the client
 * @param {string[]} [variant.settings] of the server
 * @param {string[]} [variant.restartSettings] more of them, for the restart
 * @param {boolean} [variant.resubscribes] whether it subscribes by itself in its new session
 * @param {boolean} [variant.falsy] whether it hands falsy data to the application
 * @param {boolean} [variant.watched] whether its requests are reported
 * @param {number} [variant.largest] characters of the longest text published
 */
export function behaviours({
  name,
  open,
  url = (stage) => stage.server.url,
  transport,
  transports = [transport],
  extensions = [],
  settings = [],
  restartSettings = [],
  resubscribes = false,
  falsy = true,
  watched = true,
  largest = 6_000,
}) {
  const join = async (stage, client) => {
    const peer = stage.add(await open(stage, client));
    assert.equal(await peer.connect(await url(stage), { transports, extensions }), transport);
    return peer;
  };
  const meet = async (stage) => {
    const [alice, bob] = await Promise.all([join(stage, 'alice'), join(stage, 'bob')]);
    return { stage, pair: { alice, bob }, resubscribes, falsy, watched, largest };
  };

  describe(name, () => {
    test('in one session', (t) =>
      onStage(settings, async (stage) => {
        const scene = await meet(stage);
        for (const [title, scenario] of Object.entries(SCENARIOS)) {
          await t.test(title, () => play(scenario, scene));
        }
      }));

    test('goes on after the server was restarted', () =>
      onStage([...settings, ...restartSettings], async (stage) => {
        await play(restart, await meet(stage));
      }));
  });
}
