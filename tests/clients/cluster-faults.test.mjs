import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Cluster } from './support/cluster.mjs';
import { cometd9 } from './support/node-peer.mjs';
import { post } from './support/requests.mjs';
import { onStageOf } from './support/stage.mjs';

const CHANNEL = '/chat/room';
/** Clients of all kinds, at once. */
const CLIENTS = [
  { transport: 'long-polling', extensions: [] },
  { transport: 'long-polling', extensions: ['Ack'] },
  { transport: 'websocket', extensions: [] },
  { transport: 'websocket', extensions: ['Ack'] },
];
const SETTINGS = [
  'cluster.node_timeout=4s',
  'bayeux.publish_without_session=true',
  'bayeux.max_interval=30s',
  // All that is published until a dead node is noticed.
  'channel=[{pattern="/chat/**", history={messages=100000}}]',
];
/** How long a publisher rests after each message, in ms: no more comes in that time than may be replayed. */
const REST = 2;

/** Runs `play` with a cluster of its own. */
const onCluster = async (play) => {
  const cluster = await Cluster.start(SETTINGS);
  await onStageOf(cluster, async (stage) => {
    try {
      await play(stage, cluster);
    } catch (error) {
      await cluster.readLogs();
      throw error;
    }
  });
};

const open = (stage) =>
  Promise.all(
    CLIENTS.map(async ({ transport, extensions }, at) => {
      const name = `${transport} ${extensions}`.trim();
      const peer = stage.add(await cometd9(stage, `${at}: ${name}`));
      // It may come back to another node as often as it likes.
      const configuration = { maxNetworkDelay: 10_000 };
      assert.equal(await peer.connect(stage.server.url, { transports: [transport], extensions, configuration }), transport);
      await peer.subscribe(CHANNEL);
      return { name, peer };
    }),
  );

/**
 * Publishes numbers one after the other until it is told to stop; `accepted` are those that were. A request that meets
 * a node which is just going may get no answer (502), and is not sent again.
 */
function publishing(url) {
  const accepted = [];
  let goesOn = true;
  const done = (async () => {
    for (let number = 0; goesOn; number += 1) {
      const { status, text } = await post(url, [{ channel: CHANNEL, data: number }]);
      if (status === 502) continue;
      assert.equal(status, 200, text);
      const [{ successful, error }] = JSON.parse(text);
      assert.equal(successful, true, error);
      accepted.push(number);
      await delay(REST);
    }
  })();
  return {
    accepted,
    /** Ends when it is told to stop; fails if a publish does. */
    done,
    /** Publishes on until each of these has got something that is new, as who does not acknowledge may miss the last. */
    async reaches(peers) {
      const counts = peers.map((peer) => peer.messages.length);
      const hear = peers.map((peer, at) => peer.until('another message', () => peer.messages.length > counts[at] + 1));
      await Promise.race([Promise.all(hear), done]);
    },
    async stop() {
      goesOn = false;
      await done;
    },
  };
}

/** What is wrong with the numbers that a client has got, of those that were accepted. */
function flaws(numbers, accepted) {
  const seen = new Set(numbers);
  const lost = accepted.filter((number) => !seen.has(number));
  const reordered = numbers.filter((number, at) => at > 0 && number < numbers[at - 1]);
  return { lost: lost.join(' '), repeated: numbers.length - seen.size, reordered: reordered.join(' ') };
}

const NONE = { lost: '', repeated: 0, reordered: '' };
const numbersOf = (peer) => peer.messages.map(({ data }) => data);

/** Waits until a client has got the last of them. */
const hasLast = (peer, accepted) =>
  peer.until(`message ${accepted.at(-1)}`, () => numbersOf(peer).includes(accepted.at(-1)));

describe('three nodes behind nginx', () => {
  test('are restarted one after the other under load, and no client notices', () =>
    onCluster(async (stage, cluster) => {
      const clients = await open(stage);
      const load = publishing(stage.server.url);
      for (let node = 0; node < 3; node += 1) {
        await Promise.race([cluster.replace(node, 'SIGTERM'), load.done]);
      }
      await load.reaches(clients.map(({ peer }) => peer));
      await load.stop();
      for (const { name, peer } of clients) {
        await hasLast(peer, load.accepted);
        assert.deepEqual(flaws(numbersOf(peer), load.accepted), NONE, name);
        assert.equal(peer.reconnections, 0, name);
      }
    }));

  test('go on when one is killed: with ack nothing is lost, without nothing comes twice', () =>
    onCluster(async (stage, cluster) => {
      const clients = await open(stage);
      // The publisher is at one that lives, as what is on its way to a node that dies may be done or not.
      const load = publishing(cluster.nodes[0]);
      await cluster.replace(2, 'SIGKILL');
      await load.reaches(clients.map(({ peer }) => peer));
      await load.stop();
      for (const [at, { name, peer }] of clients.entries()) {
        await hasLast(peer, load.accepted);
        const { lost, repeated, reordered } = flaws(numbersOf(peer), load.accepted);
        if (CLIENTS[at].extensions.length > 0) assert.equal(lost, '', name);
        else assert.deepEqual([repeated, reordered], [0, ''], name);
        assert.equal(peer.reconnections, 0, name);
      }
    }));
});
