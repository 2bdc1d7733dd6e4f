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
  /** Resolves when that connect waits. */
  waiting = promised();
  /** To be resolved once the client has the connect's reply. */
  answered = promised();
  #upstream;
  #listener;
  #sign;
  #isNext = false;
  #disconnected = promised();

  /**
   * @param {string} upstream the server's origin
   * @param {string} sign the connect is the next after a response with this text
   */
  static async start(upstream, sign) {
    const proxy = new OvertakenConnect(upstream, sign);
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    proxy.origin = `http://127.0.0.1:${proxy.#listener.address().port}`;
    return proxy;
  }

  constructor(upstream, sign) {
    this.#upstream = upstream;
    this.#sign = sign;
    this.#listener = createServer((incoming, response) => this.#take(incoming, response));
  }

  async #take(incoming, response) {
    const body = await text(incoming);
    const names = (channel) => body.includes(`"${channel}"`);
    if (this.#isNext && names('/meta/connect')) {
      this.waiting.resolve();
      await this.#disconnected.promise;
    }
    const answer = await this.#ask(incoming, body);
    this.#isNext ||= answer.body.includes(this.#sign);
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
