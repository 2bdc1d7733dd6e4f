import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { text } from 'node:stream/consumers';

/** A promise, and what resolves it. */
function promised() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

/**
 * A proxy whose connections differ in speed: a disconnect overtakes the connect that was sent before
 * it, and the connect's reply overtakes the disconnect's.
 */
export class OvertakenConnect {
  /** Where it listens, e.g. `http://127.0.0.1:40123`. */
  origin;
  /** Whether the next connect is the one to be overtaken. */
  isArmed = false;
  /** Resolves when that connect waits. */
  waiting = promised();
  /** To be resolved once the client has the connect's reply. */
  answered = promised();
  #upstream;
  #listener;
  #disconnected = promised();

  /** @param {string} upstream the server's origin */
  static async start(upstream) {
    const proxy = new OvertakenConnect(upstream);
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    proxy.origin = `http://127.0.0.1:${proxy.#listener.address().port}`;
    return proxy;
  }

  constructor(upstream) {
    this.#upstream = upstream;
    this.#listener = createServer((incoming, response) => this.#take(incoming, response));
  }

  async #take(incoming, response) {
    const body = await text(incoming);
    const names = (channel) => body.includes(`"${channel}"`);
    if (this.isArmed && names('/meta/connect')) {
      this.waiting.resolve();
      await this.#disconnected.promise;
    }
    const answer = await this.#ask(incoming, body);
    if (names('/meta/disconnect')) {
      this.#disconnected.resolve();
      await this.answered.promise;
    }
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  async #ask({ url, method, headers }, body) {
    const outgoing = request(new URL(url, this.#upstream), { method, headers }).end(body);
    const [answer] = await once(outgoing, 'response');
    return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
  }

  async close() {
    this.#listener.closeAllConnections();
    this.#listener.close();
    await once(this.#listener, 'close');
  }
}
