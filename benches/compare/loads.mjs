// The loads: which server meets which, with what options, on which cores.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

import { reading, shares } from './machine.mjs';
import { LONG_POLLING, MIRANT, Running, WEBSOCKET } from './servers.mjs';

const NCHAN_LOAD = path.join(import.meta.dirname, 'floor/target/release/nchan-load');
export const PAYLOAD = 100;
/** The longest that one load may take, in milliseconds. */
const LIMIT = 240_000;
/** Messages to rooms before it is measured, for each message of a fan-out's warm-up. */
const ROOMS_WARM_UP = 40;

const BOTH = [LONG_POLLING, WEBSOCKET];
/** Server and load on a core each. */
const APART = { server: '0', load: '1' };
/** Both wherever the kernel puts them. */
const FREE = { server: '0,1', load: '0,1' };

export const LOADS = [
  { scenario: 'fan-out', transports: BOTH, cores: APART, run: fanOut },
  { scenario: 'rooms', transports: [LONG_POLLING], cores: APART, run: rooms },
  { scenario: 'idle', transports: BOTH, cores: APART, run: idle },
  { scenario: 'fan-out on both cores', transports: BOTH, cores: FREE, run: fanOut, only: 'Mirant' },
  { scenario: 'rooms on both cores', transports: [LONG_POLLING], cores: FREE, run: rooms, only: 'Mirant' },
];

/** What a load finds with a server that has done nothing else. */
export async function measured(server, load, transport, size) {
  let running;
  try {
    running = await Running.start(server, load.cores.server);
    return await load.run({ running, transport, size, cores: load.cores.load });
  } catch (error) {
    return { failed: error.message };
  } finally {
    await running?.stop();
  }
}

async function fanOut(meeting) {
  const { running, size } = meeting;
  const options = ['--clients', size.clients, '--payload', PAYLOAD];
  const messages = Math.ceil(running.server.warmUp * size.warmUp);
  await bench(meeting, 'fan-out', [...options, '--messages', messages]);
  return bench(meeting, 'fan-out', [...options, '--messages', size.messages]);
}

async function rooms(meeting) {
  const { running, size } = meeting;
  const { rooms, rate, roomMessages, clients } = size;
  const options = ['--clients', clients, '--rooms', rooms, '--rate', rate, '--payload', PAYLOAD];
  const messages = Math.ceil(running.server.warmUp * size.warmUp * ROOMS_WARM_UP);
  await bench(meeting, 'rooms', [...options, '--messages', messages]);
  return bench(meeting, 'rooms', [...options, '--messages', roomMessages]);
}

async function idle(meeting) {
  const { running, size } = meeting;
  const { server, pid } = running;
  const heapBefore = server.liveHeap?.(pid);
  const loaded = bench(meeting, 'idle', ['--clients', size.idleClients, '--idle', `${size.idle}s`]);
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

/** Runs one load; its result, and how busy the machine was from its start to its end. */
async function bench({ running, transport, cores }, scenario, options) {
  const { server, port, pid } = running;
  const [program, ...start] = server.speaksBayeux
    ? [MIRANT, 'bench', scenario, '--json', '--url', `http://127.0.0.1:${port}/cometd`]
    : [NCHAN_LOAD, scenario, '--address', `127.0.0.1:${port}`];
  const args = ['-c', cores, program, ...start, '--transport', transport, '--pid', pid, ...options];
  const before = reading(pid);
  const found = JSON.parse(await output('taskset', args.map(String)));
  // The histogram is as long as all the rest, and nothing here is drawn from it.
  delete found.histogram;
  return { ...found, ...shares(before, reading(pid)) };
}

/** What a program writes. */
function output(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].on('data', text => (said[name] += text));
    child.once('error', reject);
    child.once('close', code => {
      if (code === 0) resolve(said.stdout);
      else reject(new Error(said.stderr.trim().split('\n').at(-1) || `exit code ${code}`));
    });
  });
}
