import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { within } from './within.mjs';

/** Bytes after which a connection fails, at most. */
const REACH = 3_000;
/** How long a connection is broken before it ends (ms), at most. */
const LONGEST = 250;

/** Node never lets go of a socket that is reset after its own side was closed. */
const reset = (socket) => (socket.writableEnded ? socket.destroy() : socket.resetAndDestroy());

/** A fault after which a link goes on: nothing goes one way for a while. */
const STALLS = 'stalls';

/**
 * What happens to a link in the middle of the bytes that go one way: `rest` are those that had come and
 * did not go on. After it the link ends.
 */
const FAULTS = {
  /** Both sides hear of it at once. */
  async breaks() {},
  async closes(link) {
    link.client.end();
    link.server.end();
  },
  /** Both sides believe in a connection that is dead. */
  async hangs(_link, _way, _rest, time) {
    await delay(time);
  },
  /** The server believes in a client that is gone. */
  async losesClient(link, _way, _rest, time) {
    reset(link.client);
    await delay(time);
  },
  /** What the client sent before it went comes late. */
  async arrivesLate(link, way, rest, time) {
    reset(link.client);
    await delay(time);
    if (way === 'server') link.server.write(rest);
    link.server.end();
    await link.serverEnds();
  },
  /** The client believes in a server that is gone. */
  async losesServer(link, _way, _rest, time) {
    link.server.end();
    await delay(time);
  },
  /** The client says nothing any more, but still listens. */
  async halfClosesClient(link, way, rest, time) {
    link.server.end();
    if (way === 'client') link.client.write(rest);
    link.goesOn('client');
    await delay(time);
  },
  /** The server says nothing any more, but still listens. */
  async halfClosesServer(link, way, rest, time) {
    link.client.end();
    if (way === 'server') link.server.write(rest);
    link.goesOn('server');
    await delay(time);
  },
};

/** One connection through the proxy: a client's, and ours to the server for it. */
class Link {
  #proxy;
  /** The ways in which bytes go on; others are lost. */
  #open = new Set(['client', 'server']);
  #isStruck = false;

  constructor(proxy, client, server) {
    this.#proxy = proxy;
    this.client = client;
    this.server = server;
    this.#pump(client, server, 'server');
    this.#pump(server, client, 'client');
  }

  /** Lets bytes go on one way, in spite of the fault. */
  goesOn(way) {
    this.#open.add(way);
  }

  async serverEnds() {
    if (!this.server.closed) await within('the server to close', once(this.server, 'close'));
  }

  async #pump(from, to, way) {
    const plan = this.#proxy.plan();
    try {
      for await (const bytes of from) {
        if (way === 'client') this.#proxy.note(bytes);
        plan.after -= bytes.length;
        if (plan.after < 0 && this.#proxy.isStormy && !this.#isStruck) {
          const cut = bytes.length + plan.after;
          this.#write(to, way, bytes.subarray(0, cut));
          await this.#strike(plan.fault, bytes.subarray(cut), to, way);
          Object.assign(plan, this.#proxy.plan());
        } else {
          this.#write(to, way, bytes);
        }
      }
      if (!this.#isStruck) to.end();
    } catch {
      // What breaks by itself breaks for both.
      if (!this.#isStruck) await this.#end();
    }
  }

  async #strike(fault, rest, to, way) {
    if (fault === STALLS) {
      await this.#proxy.strike(delay);
      this.#write(to, way, rest);
      return;
    }
    this.#isStruck = true;
    this.#open.clear();
    // Bytes that come meanwhile are read, and mostly lost.
    this.#proxy.strike(async (time) => {
      await FAULTS[fault](this, way, rest, time);
      await this.#end();
    });
  }

  #write(to, way, bytes) {
    if (this.#open.has(way) && to.writable && bytes.length > 0) to.write(bytes);
  }

  async #end() {
    this.#isStruck = true;
    this.#open.clear();
    reset(this.client);
    if (this.#proxy.resets) {
      reset(this.server);
      return;
    }
    this.server.end();
    await this.serverEnds();
  }
}

/** A TCP proxy in front of one server, for one client, whose connections fail as a seed has it. */
export class FaultyProxy {
  /** Where it listens, e.g. `http://127.0.0.1:40123`. */
  origin;
  /** Whether connections fail. */
  isStormy = false;
  /** Whether the server's side is reset too, so that what it has written may be lost unseen. */
  resets;
  /** How many connections have failed. */
  faults = 0;
  /** What was taken from the server, on all connections. */
  taken = '';
  #random;
  #listener;
  #sockets = new Set();
  #strikes = new Set();
  #isClosed = false;

  static async start(upstream, random, { resets = true } = {}) {
    const proxy = new FaultyProxy(new URL(upstream), random, resets);
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    proxy.origin = `http://127.0.0.1:${proxy.#listener.address().port}`;
    return proxy;
  }

  constructor(upstream, random, resets) {
    this.#random = random;
    this.resets = resets;
    const options = { allowHalfOpen: true, noDelay: true };
    this.#listener = createServer(options, (client) => {
      this.#watch(client);
      if (this.#isClosed) {
        client.destroy();
        return;
      }
      const server = connect({ ...options, port: upstream.port, host: upstream.hostname });
      this.#watch(server);
      new Link(this, client, server);
    });
  }

  /** What will happen to the bytes that go one way. */
  plan() {
    const fault = this.#random.pick([STALLS, ...Object.keys(FAULTS)]);
    return { fault, after: this.#random.below(REACH) };
  }

  note(bytes) {
    this.taken += bytes.toString('latin1');
  }

  /** Runs a fault, for a time. */
  async strike(fault) {
    this.faults += 1;
    const struck = fault(this.#random.below(LONGEST));
    this.#strikes.add(struck);
    await struck.finally(() => this.#strikes.delete(struck));
  }

  /** Lets nothing fail from now on; resolves when all that did has come to its end. */
  async calm() {
    this.isStormy = false;
    await Promise.all(this.#strikes);
  }

  async close() {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #watch(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
