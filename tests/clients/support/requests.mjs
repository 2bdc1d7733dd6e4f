import { request as open } from 'node:http';

import { ConnectStream } from './connect-stream.mjs';
import { EventStream } from './event-stream.mjs';
import { within } from './within.mjs';

/**
 * Sends messages without a client library, by default on a connection of their own.
 *
 * @param {string} url
 * @param {object[]} messages
 * @param {object} [headers] more than `Content-Type`
 * @param {Agent | false} [agent]
 * @returns the `ClientRequest`, and the promise of its response; not bounded
 */
export function send(url, messages, headers = {}, agent = false) {
  const request = open(url, {
    method: 'POST',
    agent,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
  const response = new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', async (incoming) => {
      try {
        const text = (await incoming.setEncoding('utf8').toArray()).join('');
        resolve({ status: incoming.statusCode, headers: incoming.headers, text });
      } catch (error) {
        reject(error);
      }
    });
  });
  request.end(JSON.stringify(messages));
  return { request, response };
}

/** The response to messages that are answered at once: `status`, `headers` and `text`. */
export function post(url, messages, headers, agent) {
  const what = `the response to ${messages.map(({ channel }) => channel)}`;
  return within(what, send(url, messages, headers, agent).response);
}

/** A session whose every request is the test's own. */
export class RawSession {
  #url;
  #clientId;
  /** The `Cookie` header, as a browser would send it back. */
  cookie;

  /** Shakes hands, and makes the first connect, which is answered at once. */
  static async open(url) {
    const session = await RawSession.shake(url);
    await session.ask('/meta/connect', { connectionType: 'long-polling' });
    return session;
  }

  /** Shakes hands only. */
  static async shake(url, supportedConnectionTypes = ['long-polling']) {
    const session = new RawSession(url);
    const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes };
    const { headers, text } = await post(url, [handshake]);
    session.#clientId = JSON.parse(text)[0].clientId;
    session.cookie = headers['set-cookie'].map((it) => it.split(';')[0]).join('; ');
    return session;
  }

  constructor(url) {
    this.#url = url;
  }

  /** Sends one message; `cookie` may be left out by an empty text. */
  send(channel, fields, cookie = this.cookie) {
    const headers = cookie ? { Cookie: cookie } : {};
    return send(this.#url, [{ channel, clientId: this.#clientId, ...fields }], headers);
  }

  /** The messages that answer one message. */
  async ask(channel, fields, cookie) {
    const { response } = this.send(channel, fields, cookie);
    const { text } = await within(`the response to ${channel}`, response);
    return JSON.parse(text);
  }

  /** Opens a connect that is a stream, in the way of that connection type's clients. */
  stream(connectionType) {
    const connect = { channel: '/meta/connect', clientId: this.#clientId, connectionType };
    const message = JSON.stringify([connect]);
    const Cookie = this.cookie;
    if (connectionType === 'iframe') {
      const body = new URLSearchParams({ message, jsonp: 'hear' }).toString();
      const { origin } = new URL(this.#url);
      const headers = {
        Cookie,
        'Content-Type': 'application/x-www-form-urlencoded',
        Origin: origin,
      };
      return ConnectStream.open(this.#url, body, headers);
    }
    const headers = { Cookie, 'Content-Type': 'application/json' };
    return ConnectStream.open(this.#url, message, headers);
  }

  /** Opens the event stream of this session. */
  eventStream() {
    return EventStream.open(new URL(`/cometd/${this.#clientId}`, this.#url), { Cookie: this.cookie });
  }
}
