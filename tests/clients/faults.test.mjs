// Real clients behind connections that fail at random, and what is promised then. A failure names its
// seed, which FAULT_SEED repeats; FAULT_RUNS is how many others are tried.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { FaultyProxy } from './support/faulty-proxy.mjs';
import { COMETD_7, COMETD_9, nodePeer } from './support/node-peer.mjs';
import { Random } from './support/random.mjs';
import { withoutRepeats } from './support/repeats.mjs';
import { onStage } from './support/stage.mjs';

const SETTINGS = ['bayeux.max_interval=60s', 'websocket.permessage_deflate=false'];
/** How many faults every client has to live through. */
const ENOUGH = 15;
const SEEDS = process.env.FAULT_SEED
  ? [Number(process.env.FAULT_SEED)]
  : Array.from({ length: Number(process.env.FAULT_RUNS ?? 3) }, () => Math.floor(Math.random() * 1e9));

const BOTH = ['websocket', 'long-polling'];
const SUBSCRIBERS = [
  { name: 'cometd 9 by WebSocket', build: COMETD_9, transports: ['websocket'] },
  { name: 'cometd 9 by long-polling', build: COMETD_9, transports: ['long-polling'] },
  { name: 'cometd 9 by both', build: COMETD_9, transports: BOTH, alternates: true },
  { name: 'cometd 7 by WebSocket', build: COMETD_7, transports: ['websocket'] },
  { name: 'cometd 7 by long-polling', build: COMETD_7, transports: ['long-polling'] },
  { name: 'cometd 7 by both', build: COMETD_7, transports: BOTH, alternates: true },
];
const PUBLISHERS = [
  { name: 'a', build: COMETD_9, transports: ['websocket'] },
  { name: 'b', build: COMETD_7, transports: ['long-polling'] },
];

/** Starts a client with a proxy of its own, which is calm for now. */
async function join(stage, { name, build, transports, alternates }, random, extensions, resets) {
  const own = new Random(random.below(2 ** 31));
  const proxy = stage.add(await FaultyProxy.start(stage.server.origin, own, { resets }));
  const peer = stage.add(await nodePeer(build)(stage, name));
  const configuration = { backoffIncrement: 10, maxBackoff: 100, logLevel: 'error' };
  const options = { transports, alternates, extensions, configuration };
  await peer.connect(`${proxy.origin}/cometd`, options);
  return { name, peer, proxy, random: own };
}

/** Publishes numbered messages, some at once, and knows which of them are promised. */
class Publisher {
  promised = [];
  #client;
  #published = 0;

  constructor(client) {
    this.#client = client;
  }

  get published() {
    return this.#published;
  }

  async publish(count) {
    const { name, peer } = this.#client;
    const publishes = Array.from({ length: count }, async () => {
      const message = `${name}${(this.#published += 1)}`;
      await peer.publish('/news', message);
      return message;
    });
    const ends = await Promise.allSettled(publishes);
    const acknowledged = ends.filter(({ status }) => status === 'fulfilled');
    this.promised.push(...acknowledged.map(({ value }) => value));
    return acknowledged.length;
  }

  /** Publishes while there is a storm, in bursts. */
  async storm(isOver) {
    while (!isOver()) await this.publish(1 + this.#client.random.below(5));
  }

  /** Publishes until that succeeds: the last connection may have failed unseen. */
  async end() {
    while ((await this.publish(1)) === 0);
    return this.promised.at(-1);
  }
}

/** Plays one storm; what became of the messages. */
async function play(stage, seed, { extensions, resets }) {
  const random = new Random(seed);
  const joined = (clients) =>
    Promise.all(clients.map((client) => join(stage, client, random, extensions, resets)));
  const listeners = await joined(SUBSCRIBERS);
  const senders = await joined(PUBLISHERS);
  // A client that publishes by one request and waits by another may see its own in either order,
  // unless it acknowledges.
  const subscribers = extensions.includes('Ack') ? [...listeners, ...senders] : listeners;
  await Promise.all(subscribers.map(({ peer }) => peer.subscribe('/news')));
  const publishers = senders.map((sender) => new Publisher(sender));

  const clients = [...listeners, ...senders];
  for (const { proxy } of clients) proxy.isStormy = true;
  const isOver = () => clients.every(({ proxy }) => proxy.faults >= ENOUGH);
  await Promise.all(publishers.map((publisher) => publisher.storm(isOver)));
  await Promise.all(clients.map(({ proxy }) => proxy.calm()));

  const last = await Promise.all(publishers.map((publisher) => publisher.end()));
  for (const { peer } of subscribers) {
    const has = (message) => peer.messages.some(({ data }) => data === message);
    await peer.until(`the last messages, ${last}`, () => last.every(has));
  }
  for (const { name, peer } of clients) {
    assert.equal(peer.reconnections, 0, `${name} lost its session`);
  }
  return { publishers, subscribers };
}

const received = ({ peer }) => peer.messages.map(({ data }) => data);

/** In the order published, of those that are promised. */
function assertOrder(messages, { promised }, name) {
  const places = new Map(promised.map((message, place) => [message, place]));
  const order = messages.filter((message) => places.has(message));
  const sorted = order.toSorted((one, other) => places.get(one) - places.get(other));
  assert.deepEqual(order, sorted, name);
}

/** What there was of it, so that a storm that does nothing is seen. */
function describeStorm(publishers, subscribers) {
  const published = publishers.reduce((sum, publisher) => sum + publisher.published, 0);
  const promised = publishers.flatMap((publisher) => publisher.promised);
  const counts = subscribers.map((subscriber) => {
    const messages = received(subscriber);
    const different = new Set(messages);
    const lost = promised.filter((message) => !different.has(message)).length;
    return `${subscriber.proxy.faults}/${messages.length - different.size}/${lost}`;
  });
  const all = `${published} published, ${promised.length} acknowledged`;
  return `${all}; faults/repeats/lost: ${counts.join(' ')}`;
}

const failing = (seed, check) => async (stage) => {
  try {
    await check(stage);
  } catch (error) {
    error.message = `FAULT_SEED=${seed}: ${error.message}`;
    throw error;
  }
};

test('what was sent again is told from what is out of order', () => {
  assert.deepEqual(withoutRepeats(['a', 'b', 'c', 'b', 'c', 'd', 'd', 'e']), ['a', 'b', 'c', 'd', 'e']);
  assert.deepEqual(withoutRepeats(['a', 'b', 'a', 'b', 'a', 'b', 'c']), ['a', 'b', 'c']);
  for (const wrong of ['abcac', 'abcad', 'abcbd']) {
    assert.throws(() => withoutRepeats([...wrong]), /came after/, wrong);
  }
});

describe('while connections fail', () => {
  for (const seed of SEEDS) {
    test(`every acknowledged publish arrives in order, with ack (seed ${seed})`, (t) =>
      onStage(
        SETTINGS,
        failing(seed, async (stage) => {
          const options = { extensions: ['Ack'], resets: true };
          const { publishers, subscribers } = await play(stage, seed, options);
          t.diagnostic(describeStorm(publishers, subscribers));
          for (const subscriber of subscribers) {
            const messages = withoutRepeats(received(subscriber));
            for (const publisher of publishers) {
              const promised = new Set(publisher.promised);
              const arrived = messages.filter((message) => promised.has(message));
              assert.deepEqual(arrived, publisher.promised, subscriber.name);
            }
          }
        }),
      ));

    test(`order is kept, and nothing comes twice, without ack (seed ${seed})`, (t) =>
      onStage(
        SETTINGS,
        failing(seed, async (stage) => {
          const options = { extensions: [], resets: false };
          const { publishers, subscribers } = await play(stage, seed, options);
          t.diagnostic(describeStorm(publishers, subscribers));
          for (const subscriber of subscribers) {
            const messages = received(subscriber);
            assert.equal(new Set(messages).size, messages.length, `${subscriber.name}: ${messages}`);
            for (const publisher of publishers) {
              assertOrder(messages, publisher, subscriber.name);
              const isThere = (message) =>
                messages.includes(message) || subscriber.proxy.taken.includes(`"data":"${message}"`);
              const lost = publisher.promised.filter((message) => !isThere(message));
              assert.deepEqual(lost, [], `${subscriber.name}: TCP had not taken them`);
            }
          }
        }),
      ));
  }
});
