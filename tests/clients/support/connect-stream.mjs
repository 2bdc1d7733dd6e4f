import { request as open } from 'node:http';

import { within } from './within.mjs';

/** The response to a connect that is a stream, as text that grows. */
export class ConnectStream {
  headers;
  #request;
  #pieces;
  #text = '';

  /** Posts a body; resolves when the response has begun. */
  static async open(url, body, headers) {
    const stream = new ConnectStream();
    const response = await within(
      'a response',
      new Promise((resolve, reject) => {
        stream.#request = open(url, { method: 'POST', agent: false, headers }, resolve);
        stream.#request.once('error', reject);
        stream.#request.end(body);
      }),
    );
    stream.#request.on('error', () => {});
    stream.headers = response.headers;
    stream.#pieces = response.setEncoding('utf8')[Symbol.asyncIterator]();
    return stream;
  }

  /** Waits for a text, and takes all up to its end. */
  async until(text) {
    let at;
    while ((at = this.#text.indexOf(text)) < 0) {
      const { value, done } = await within(text, this.#pieces.next());
      if (done) throw new Error(`no ${text}, but the end: ${this.#text}`);
      this.#text += value;
    }
    const end = at + text.length;
    const taken = this.#text.slice(0, end);
    this.#text = this.#text.slice(end);
    return taken;
  }

  /** All the rest, to the response's own end. */
  async rest() {
    for (;;) {
      const { value, done } = await within('the end', this.#pieces.next());
      if (done) return this.#text;
      this.#text += value;
    }
  }

  /** Leaves it. */
  close() {
    this.#request.destroy();
  }
}
