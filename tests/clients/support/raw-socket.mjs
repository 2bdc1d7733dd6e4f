import { once } from 'node:events';

import WebSocket from 'ws';

import { within } from './within.mjs';

/** A WebSocket whose every message is the test's own. */
export class RawSocket {
  /** The code of the close frame that ended it. */
  closed;
  #socket;
  #messages = [];
  #wake = () => {};

  /** @param {string} url of the Bayeux endpoint; rejects with the status of a refusal */
  static async open(url, headers = {}) {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    const raw = new RawSocket(socket);
    await within('the WebSocket to open', once(socket, 'open'));
    return raw;
  }

  constructor(socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.on('message', (text) => {
      this.#messages.push(...JSON.parse(text));
      this.#wake();
    });
  }

  send(channel, fields) {
    this.#socket.send(JSON.stringify([{ channel, ...fields }]));
  }

  /** Sends one message, and takes the next, which is to be its reply. */
  ask(channel, fields) {
    this.send(channel, fields);
    return this.next(`the reply of ${channel}`);
  }

  /** The next message received. */
  async next(what = 'a message') {
    while (this.#messages.length === 0) {
      await within(what, new Promise((resolve) => (this.#wake = resolve)));
    }
    return this.#messages.shift();
  }

  /** What was received and not taken yet. */
  taken() {
    return this.#messages.splice(0);
  }

  async close() {
    this.#socket.terminate();
    await this.closed;
  }
}
