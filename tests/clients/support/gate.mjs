import { once } from 'node:events';
import { connect, createServer } from 'node:net';

import { within } from './within.mjs';

const REFUSAL = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/** A TCP proxy in front of one server, which a test can shut. */
export class Gate {
  /** Where it listens, e.g. `http://127.0.0.1:40123`. */
  origin;
  /** Whether WebSockets may be opened, or are refused as by a proxy that does not know them. */
  letsUpgrade = true;
  /** Whether what the server writes is taken from it, and goes nowhere. */
  swallows = false;
  #upstream;
  #isShut = false;
  #listener;
  #sockets = new Set();
  #swallowed = '';
  #wake = () => {};

  /** @param {string} upstream the server's origin */
  static async start(upstream) {
    const gate = new Gate(upstream);
    gate.#listener.listen(0, '127.0.0.1');
    await once(gate.#listener, 'listening');
    gate.origin = `http://127.0.0.1:${gate.#listener.address().port}`;
    return gate;
  }

  constructor(upstream) {
    this.#upstream = new URL(upstream);
    this.#listener = createServer((socket) => this.#take(socket));
  }

  /** Cuts every connection, and every new one until it is opened. */
  shut() {
    this.#isShut = true;
    this.cut();
  }

  /** Cuts every connection that is open now. */
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  open() {
    this.#isShut = false;
  }

  /** Resolves when a connection has come, which may be one that is cut. */
  async knock() {
    await once(this.#listener, 'connection');
  }

  /** Resolves when a text was swallowed. */
  async swallowed(text) {
    while (!this.#swallowed.includes(text)) {
      await within(`${text} to be swallowed`, new Promise((resolve) => (this.#wake = resolve)));
    }
  }

  async close() {
    this.shut();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #take(client) {
    this.#watch(client);
    if (this.#isShut) {
      client.resetAndDestroy();
      return;
    }
    client.once('data', (head) => {
      if (!this.letsUpgrade && /\r\nupgrade: websocket\r\n/i.test(head.toString('latin1'))) {
        client.end(REFUSAL);
        return;
      }
      const server = connect(this.#upstream.port, this.#upstream.hostname);
      this.#watch(server);
      server.write(head);
      client.pipe(server);
      server.on('data', (bytes) => this.#give(client, bytes));
      server.once('end', () => client.end());
      client.once('close', () => server.destroy());
      server.once('close', () => client.destroy());
    });
  }

  #give(client, bytes) {
    if (!this.swallows) {
      client.write(bytes);
      return;
    }
    this.#swallowed += bytes.toString('latin1');
    this.#wake();
  }

  #watch(socket) {
    this.#sockets.add(socket);
    socket.setNoDelay();
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
