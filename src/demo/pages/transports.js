/** The transports of the menu, and how a session goes from one to another. */

export const TRANSPORTS = [
  { type: 'websocket', name: 'WebSocket', how: 'Frames on one socket, both ways.' },
  { type: 'long-polling', name: 'long-polling', how: 'A POST waits until there are events; the next follows its answer.' },
  { type: 'eventsource', name: 'EventSource', how: 'Events come by an EventSource; a POST sends.', plugIn: 'eventSource' },
  { type: 'xhr-streaming', name: 'xhr-streaming', how: 'The response to a POST grows by an array for each event.', plugIn: 'xhrStreaming' },
  { type: 'multipart', name: 'multipart', how: 'Each event is a part of one multipart response.', plugIn: 'multipart' },
  { type: 'iframe', name: 'forever frame', how: 'The document of a hidden frame grows by a script for each event.', plugIn: 'iframe' },
  { type: 'message-http', name: 'message/http', how: 'Each event is an HTTP response inside one long HTTP response.', plugIn: 'messageHttp' },
  { type: 'callback-polling', name: 'callback-polling', how: 'Script elements ask; what they load calls a function (JSONP).' },
];

/** Gives a client the transports that the server has plug-ins for. */
export async function plugIn(cometd, { LongPollingTransport }) {
  for (const { type, plugIn } of TRANSPORTS) {
    if (!plugIn) continue;
    const module = await import(`/mirant/${type}.js`);
    cometd.registerTransport(type, module[plugIn](new LongPollingTransport()));
  }
}

/** Keeps a client on the transport that is wanted. A session goes on when it moves to another. */
export class Mover {
  #cometd;
  #wanted;

  constructor(cometd, wanted) {
    this.#cometd = cometd;
    this.#wanted = wanted;
    this.#acceptOnlyWanted();
    this.#retryByWanted();
    cometd.addListener('/meta/connect', ({ successful }) => {
      // It was between two connects when it was to move.
      if (successful && !this.hasArrived) setTimeout(() => this.#push(), 50);
    });
  }

  get wanted() {
    return this.#wanted;
  }

  get hasArrived() {
    return this.#cometd.getTransport()?.type === this.#wanted;
  }

  moveTo(type) {
    this.#wanted = type;
    this.#push();
  }

  /** Has what waits for the server fail, so that it is tried again by what is wanted. */
  #push() {
    if (!this.hasArrived) this.#cometd.getTransport()?.abort();
  }

  /** A handshake chooses among what accepts. */
  #acceptOnlyWanted() {
    for (const type of this.#cometd.getTransportTypes()) {
      const transport = this.#cometd.findTransport(type);
      const { accept } = transport;
      transport.accept = (...where) => type === this.#wanted && accept.apply(transport, where);
    }
  }

  /** A connect that failed is tried again, and may be by another transport. */
  #retryByWanted() {
    const cometd = this.#cometd;
    const { onTransportFailure } = cometd;
    cometd.onTransportFailure = (message, failure, handle) =>
      onTransportFailure.call(cometd, message, failure, (decided) => {
        if (message.channel === '/meta/connect' && decided.action === 'retry' && !this.hasArrived) {
          decided.transport = cometd.findTransport(this.#wanted);
          decided.delay = 0;
        }
        handle(decided);
      });
  }
}
