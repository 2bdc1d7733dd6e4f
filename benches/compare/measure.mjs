// Runs every load against every server, in rounds, and writes results.json, results.md, results.svg.
// Usage: node measure.mjs [--quick] [--rounds N] [--only NAME,NAME] [--out DIRECTORY]
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { drawing, table } from './report.mjs';
import { LONG_POLLING, MIRANT, Running, SERVERS, WEBSOCKET } from './servers.mjs';

const HERE = import.meta.dirname;
const NCHAN_LOAD = path.join(HERE, 'floor/target/release/nchan-load');
const FULL = { rounds: 3, clients: 1000, messages: 100, warmUp: 1, idleClients: 10_000, idle: 3 };
const QUICK = { rounds: 1, clients: 100, messages: 20, warmUp: 0.2, idleClients: 1000, idle: 2 };
const PAYLOAD = 100;
/** The longest that one load may take, in milliseconds. */
const LIMIT = 240_000;

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
});
const size = flags.quick ? QUICK : FULL;
const rounds = Number(flags.rounds ?? size.rounds);
const names = flags.only?.split(',');
const servers = SERVERS.filter(({ name }) => names?.includes(name) ?? true);
const out = flags.out ?? (flags.quick ? path.join(HERE, 'quick') : HERE);

process.on('exit', () => Running.killAll());
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

const results = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores, Linux ${os.release()}`,
  ...size,
  rounds: 0,
  payload: PAYLOAD,
  servers: servers.map(server => ({ name: server.name, version: server.version() })),
  /** How busy the machine was with this and all else, after each round. */
  loadAverages: [],
  measured: [],
};
mkdirSync(out, { recursive: true });
const write = (name, text) => writeFileSync(path.join(out, name), text);
for (let round = 0; round < rounds; round++) {
  results.rounds = round + 1;
  for (const scenario of ['fan-out', 'idle']) {
    for (const transport of [LONG_POLLING, WEBSOCKET]) {
      // Each round begins with another server, so that none is always the first.
      for (const server of [...servers.slice(round % servers.length), ...servers.slice(0, round % servers.length)]) {
        if (!server.transports.includes(transport)) continue;
        const found = await measured(server, scenario, transport);
        results.measured.push({ round, server: server.name, scenario, transport, ...found });
        const figure = found.server_cpu_us_per_delivery ?? found.server_resident_bytes_per_client;
        console.error(`round ${round + 1}: ${scenario}, ${transport}, ${server.name}: ${figure ?? found.failed}`);
      }
    }
  }
  results.loadAverages.push(Number(os.loadavg()[1].toFixed(1)));
  // After every round, so that a run which is stopped is not lost.
  write('results.json', `${JSON.stringify(results, null, 1)}\n`);
  write('results.md', table(results));
  write('results.svg', drawing(results));
}
console.log(table(results));
if (results.measured.some(({ failed }) => failed)) process.exitCode = 1;

/** What a load finds with a server that has done nothing else. */
async function measured(server, scenario, transport) {
  let running;
  try {
    running = await Running.start(server);
    return scenario === 'idle' ? await idle(running, transport) : await fanOut(running, transport);
  } catch (error) {
    return { failed: error.message };
  } finally {
    await running?.stop();
  }
}

async function fanOut(running, transport) {
  const options = ['--clients', size.clients, '--payload', PAYLOAD];
  const messages = Math.ceil(running.server.warmUp * size.warmUp);
  await load(running, 'fan-out', transport, [...options, '--messages', messages]);
  return load(running, 'fan-out', transport, [...options, '--messages', size.messages]);
}

async function idle(running, transport) {
  const { server, pid } = running;
  const heapBefore = server.liveHeap?.(pid);
  const loaded = load(running, 'idle', transport, ['--clients', size.idleClients, '--idle', `${size.idle}s`]);
  if (!server.liveHeap) return loaded;
  let isOver = false;
  const over = loaded.finally(() => (isOver = true));
  over.catch(() => {});
  const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
  while (!isOver && readdirSync(`/proc/${pid}/fd`).length < size.idleClients) await wait(100);
  // The memory is read a quarter of a second after the last client has come.
  await wait(800);
  const heap = isOver ? undefined : server.liveHeap(pid);
  return { ...(await over), live_heap_bytes_per_client: (heap - heapBefore) / size.idleClients };
}

/** Runs one load on core 1; its result. */
function load({ server, port, pid }, scenario, transport, options) {
  const [program, ...start] = server.speaksBayeux
    ? [MIRANT, 'bench', scenario, '--json', '--url', `http://127.0.0.1:${port}/cometd`]
    : [NCHAN_LOAD, scenario, '--address', `127.0.0.1:${port}`];
  const args = ['-c', '1', program, ...start, '--transport', transport, '--pid', pid, ...options].map(String);
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].on('data', text => (said[name] += text));
    child.once('error', reject);
    child.once('close', code => {
      if (code === 0) resolve(JSON.parse(said.stdout));
      else reject(new Error(said.stderr.trim().split('\n').at(-1) || `exit code ${code}`));
    });
  });
}
