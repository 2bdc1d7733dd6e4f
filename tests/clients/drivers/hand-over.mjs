// Servers take over from each other under a flood of new connections, in a network of its own: to be run by `unshare`.
// Arguments: the program, how often, and whether the kernel is to hand on what waits (net.ipv4.tcp_migrate_req). Prints what
// became of the connections as JSON.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [program, turns, migrates] = process.argv.slice(2);
const PORT = 18080;
const WORKERS = 24;
const handshake = '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]';
const REQUEST = `POST /cometd HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${handshake.length}\r\n\r\n${handshake}`;

const counts = {};
let isOver = false;

execFileSync('ip', ['link', 'set', 'lo', 'up']);
writeFileSync('/proc/sys/net/ipv4/tcp_migrate_req', migrates);

/** Starts a server, and waits until it listens. */
async function start() {
  const args = ['serve', '--listen', `127.0.0.1:${PORT}`];
  for (const set of ['http.reuse_port=true', 'http.drain_time=100ms', 'log.level=error']) args.push('--set', set);
  const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface(server.stdout)) if (line.startsWith('listening on')) return server;
  throw new Error('the server has ended');
}

/** What becomes of one new connection: the status of its response, or what went wrong. */
function ask() {
  return new Promise((resolve) => {
    const socket = connect(PORT, '127.0.0.1');
    let text = '';
    socket.on('connect', () => socket.write(REQUEST));
    socket.on('data', (data) => (text += data));
    socket.on('error', (error) => resolve(error.code));
    socket.on('close', () => resolve(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 'closed'));
  });
}

async function flood() {
  while (!isOver) {
    const what = await ask();
    counts[what] = (counts[what] ?? 0) + 1;
  }
}

let server = await start();
const floods = Array.from({ length: WORKERS }, flood);
for (let turn = 0; turn < Number(turns); turn += 1) {
  const next = await start();
  server.kill('SIGTERM');
  const [code] = await once(server, 'exit');
  if (code !== 0) counts[`exit code ${code}`] = 1;
  server = next;
}
isOver = true;
await Promise.all(floods);
server.kill('SIGTERM');
await once(server, 'exit');
console.log(JSON.stringify(counts));
