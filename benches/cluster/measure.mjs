// What a cluster costs: throughput, latency, processor time of nodes and of Redis, memory. Prints a table; each row is
// a term of docs/capacity.md.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { MIRANT } from '../support/measured.mjs';
import { Nodes } from './nodes.mjs';

const run = promisify(execFile);
const isQuick = process.argv.includes('--quick');
const MESSAGES = isQuick ? 2_000 : 40_000;
const CLIENTS = isQuick ? 200 : 1_000;
const MANY = Number(process.env.CLIENTS ?? (isQuick ? 500 : 6_000));

/** Runs `mirant bench` against these, and what the processor did meanwhile. */
async function bench(nodes, urls, words) {
  const before = { nodes: nodes.cpu, redis: nodes.redis?.cpu ?? 0 };
  const args = ['bench', ...words.split(' '), '--json', ...urls.flatMap((url) => ['--url', url])];
  let resident = 0;
  const sampling = setInterval(() => {
    resident = Math.max(resident, nodes.resident);
  }, 200);
  try {
    const { stdout } = await run(MIRANT, args, { maxBuffer: 1 << 24 });
    return {
      ...JSON.parse(stdout),
      nodesCpu: nodes.cpu - before.nodes,
      redisCpu: (nodes.redis?.cpu ?? 0) - before.redis,
      resident,
    };
  } finally {
    clearInterval(sampling);
  }
}

async function withNodes(count, options, play) {
  const nodes = await Nodes.start(count, options);
  try {
    await play(nodes);
  } finally {
    await nodes.end();
  }
}

const rounded = (value) => (value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
const micro = (seconds, count) => rounded((seconds / count) * 1e6);
const print = (name, figures) => {
  const cells = Object.entries(figures).map(([key, value]) => `${key} ${typeof value === 'number' ? rounded(value) : value}`);
  console.log(`${name.padEnd(44)} ${cells.join(', ')}`);
};

/** One node without a cluster, one with, three with: as fast as they take messages, and at a rate. */
async function ratios() {
  const setups = [
    ['one node, no cluster', 1, { isCluster: false }],
    ['one node, cluster', 1, {}],
    ['three nodes, cluster', 3, {}],
  ];
  for (const [name, count, options] of setups) {
    await withNodes(count, options, async (nodes) => {
      const storm = await bench(nodes, nodes.urls, `storm --clients 9 --messages ${MESSAGES} --transport websocket`);
      print(`storm: ${name}`, {
        'deliveries/s': storm.deliveries_per_s,
        'messages/s': storm.deliveries_per_s / 9,
        'nodes µs/delivery': micro(storm.nodesCpu, storm.deliveries),
        'Redis µs/message': micro(storm.redisCpu, MESSAGES),
      });
      const rate = await bench(nodes, nodes.urls, `fan-out --clients ${CLIENTS} --messages ${isQuick ? 50 : 300} --rate 10 --transport websocket`);
      print(`fan-out to ${CLIENTS}, 10/s: ${name}`, {
        'p50 µs': rate.latency_p50_us,
        'p99 µs': rate.latency_p99_us,
        'nodes µs/delivery': micro(rate.nodesCpu, rate.deliveries),
      });
    });
  }
}

/** What a publish costs while more and more nodes have nobody who is interested. */
async function uninterested() {
  for (const count of [1, 3, 6]) {
    await withNodes(count, {}, async (nodes) => {
      const result = await bench(nodes, nodes.urls.slice(0, 1), `storm --clients 1 --messages ${MESSAGES} --transport websocket`);
      print(`one interested of ${count}`, {
        'messages/s': result.deliveries_per_s,
        'Redis µs/message': micro(result.redisCpu, MESSAGES),
        'nodes µs/message': micro(result.nodesCpu, MESSAGES),
      });
    });
  }
}

/** What a publish costs when every node has somebody. */
async function interested() {
  for (const count of [1, 3, 6]) {
    await withNodes(count, {}, async (nodes) => {
      const result = await bench(nodes, nodes.urls, `storm --clients ${count} --messages ${MESSAGES} --transport websocket`);
      print(`${count} interested of ${count}`, {
        'messages/s': result.deliveries_per_s / count,
        'Redis µs/message': micro(result.redisCpu, MESSAGES),
        'nodes µs/delivery': micro(result.nodesCpu, MESSAGES * count),
      });
    });
  }
}

/** The same with history, which Redis keeps. */
async function kept() {
  const settings = ["channel=[{ pattern = '/**', history = { messages = 1000 } }]"];
  await withNodes(1, { settings }, async (nodes) => {
    const result = await bench(nodes, nodes.urls, `storm --clients 1 --messages ${MESSAGES} --transport websocket`);
    print('one interested of 1, with history', {
      'messages/s': result.deliveries_per_s,
      'Redis µs/message': micro(result.redisCpu, MESSAGES),
    });
  });
}

/** What polls cost that arrive anywhere, beside those that arrive at their owner. */
async function passedOn() {
  const words = `fan-out --clients ${CLIENTS} --messages ${isQuick ? 20 : 100}`;
  await withNodes(3, { isBalanced: true }, async (nodes) => {
    const direct = await bench(nodes, nodes.sticky, words);
    const balanced = await bench(nodes, [nodes.anywhere], words);
    for (const [name, result] of [['at their owner', direct], ['anywhere (two of three passed on)', balanced]]) {
      print(`polls ${name}`, {
        'deliveries/s': result.deliveries_per_s,
        'p99 µs': result.latency_p99_us,
        'nodes µs/delivery': micro(result.nodesCpu, result.deliveries),
      });
    }
  });
  for (const isAnywhere of [false, true]) {
    await withNodes(3, { isBalanced: true }, async (nodes) => {
      const before = nodes.resident;
      const urls = isAnywhere ? [nodes.anywhere] : nodes.sticky;
      const idle = await bench(nodes, urls, `idle --clients ${MANY} --idle 1s`);
      print(`${MANY} held polls ${isAnywhere ? 'anywhere' : 'at their owner'}`, {
        'handshakes/s': idle.handshakes_per_s,
        'Redis µs/client': micro(idle.redisCpu, MANY),
        'nodes µs/client': micro(idle.nodesCpu, MANY),
        'bytes/client': (idle.resident - before) / MANY,
      });
    });
  }
}

/** Many clients on three nodes. */
async function many() {
  await withNodes(3, {}, async (nodes) => {
    const clients = 3 * MANY;
    const words = `fan-out --clients ${clients} --messages ${isQuick ? 5 : 30} --transport websocket --timeout 3m`;
    const result = await bench(nodes, nodes.urls, words);
    print(`three nodes, ${clients} clients`, {
      'deliveries/s': result.deliveries_per_s,
      'p99 µs': result.latency_p99_us,
      'nodes µs/delivery': micro(result.nodesCpu, result.deliveries),
      'bytes/client': result.resident / clients,
    });
  });
}

const parts = { ratios, uninterested, interested, kept, passedOn, many };
const asked = process.argv.slice(2).filter((word) => word in parts);
for (const name of asked.length > 0 ? asked : Object.keys(parts)) await parts[name]();
