// Processes that are measured, and the ports that they listen on.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const MIRANT = process.env.MIRANT_BIN ?? join(ROOT, 'target/release/mirant');
/** Ticks of a process's time in a second, as Linux shows them to everybody. */
const TICKS = 100;

/** A process that is measured. */
export class Measured {
  constructor(child) {
    this.child = child;
  }

  get pid() {
    return this.child.pid;
  }

  /** Seconds of processor time so far. */
  get cpu() {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
    return (Number(stat[11]) + Number(stat[12])) / TICKS;
  }

  /** Bytes of memory that it has. */
  get resident() {
    return Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024;
  }

  async end() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export async function listens(port) {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await delay(10);
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`nothing listens on ${port}`);
}
