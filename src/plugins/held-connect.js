/**
 * What the plug-ins share: a long-polling transport of the CometD client (3.1 or newer) keeps its
 * life, its timers and all messages but `/meta/connect`, which goes another way.
 */

/**
 * Changes a transport so that `open` makes the requests of its connects.
 *
 * @param {object} transport a `LongPollingTransport`
 * @param {(held: HeldConnect, post: (changes: object) => XMLHttpRequest) => void} open makes the
 *   request of a connect; `post` would make it as long-polling does
 * @returns the transport
 */
export function holding(transport, open) {
  const { registered, transportSend, xhrSend } = transport;
  let client = null;
  let connect = null;

  transport.registered = function (type, cometd) {
    client = cometd;
    registered.call(this, type, cometd);
  };
  // Called for every request, and calls `xhrSend`.
  transport.transportSend = function (envelope, request) {
    connect = request.metaConnect ? envelope : null;
    return transportSend.call(this, envelope, request);
  };
  transport.xhrSend = function (packet) {
    if (!connect) return xhrSend.call(this, packet);
    const held = new HeldConnect(packet, connect, client);
    open(held, (changes) => xhrSend.call(this, { ...packet, ...changes }));
    return held;
  };
  return transport;
}

/** A connect that waits for its reply. To the client it is the `XMLHttpRequest` that carries it. */
export class HeldConnect {
  readyState = 1;
  status = 0;
  /** The CometD client. */
  client;
  /** The connect itself. */
  message;
  /** Gives the client messages, whatever became of the connect. */
  deliver;
  /** Gives the request up; for who makes it to set. */
  release = () => {};
  #packet;
  #isOver = false;

  constructor(packet, envelope, client) {
    this.client = client;
    this.message = envelope.messages[0];
    // Also what the WebSocket transport does with messages that come by themselves.
    this.deliver = (messages) => envelope.onSuccess(messages);
    this.#packet = packet;
  }

  get url() {
    return this.#packet.url;
  }

  get headers() {
    return this.#packet.headers;
  }

  get body() {
    return this.#packet.body;
  }

  /** Gives the client messages; those with the connect's reply are its last. */
  receive(messages) {
    if (this.#isOver || messages.length === 0) return;
    if (messages.some(isReply)) {
      this.#isOver = true;
      this.#packet.onSuccess(messages);
    } else {
      this.deliver(messages);
    }
  }

  /** Ends it without a reply; does nothing to a connect that is over. */
  fail(reason, exception) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.release();
    this.#packet.onError(reason, exception);
  }

  /** For the client, which has given it up. */
  abort() {
    this.fail('abort');
  }
}

/** Whether a message is the reply to a connect. */
export const isReply = ({ channel }) => channel === '/meta/connect';

/** Whether a browser shows the text of a response while it grows. */
export const canStream = () =>
  typeof TextDecoder === 'function' &&
  typeof AbortController === 'function' &&
  typeof ReadableStream === 'function' &&
  typeof Response === 'function' &&
  'body' in Response.prototype;

/** Has a splitter of text take bytes. */
export function ofText(splitter) {
  const decoder = new TextDecoder();
  return { push: (bytes) => splitter.push(decoder.decode(bytes, { stream: true })) };
}

/**
 * Makes a connect by `fetch`, and hands over what comes. An `XMLHttpRequest` would keep the text of
 * the whole response, and show it anew with every piece.
 *
 * @param {HeldConnect} held
 * @param {(response: Response) => { push(bytes: Uint8Array): Iterable<object[]> }} splitterOf
 * @param {object} [headers] more than the client's
 */
export async function fetchConnect(held, splitterOf, headers = {}) {
  const control = new AbortController();
  held.release = () => control.abort();
  try {
    const response = await fetch(held.url, {
      method: 'POST',
      headers: { ...held.headers, 'Content-Type': 'application/json', ...headers },
      body: held.body,
      credentials: 'include',
      cache: 'no-store',
      signal: control.signal,
    });
    held.status = response.status;
    if (response.status !== 200) {
      held.fail(response.statusText);
      return;
    }
    const splitter = splitterOf(response);
    const reader = response.body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      // After the reply it is read to its end, so that the connection can be used again.
      if (done) break;
      for (const messages of splitter.push(value)) held.receive(messages);
    }
    held.fail('the response ended without a reply');
  } catch (error) {
    held.status = error.status ?? held.status;
    held.fail(error.message, error);
  }
}
