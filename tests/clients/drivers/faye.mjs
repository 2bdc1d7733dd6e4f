import { Shown, refusal } from './shown.mjs';

/** What Faye would use before the transport under test, if it is not told otherwise. */
const TRANSPORTS = [
  'websocket',
  'eventsource',
  'long-polling',
  'cross-origin-long-polling',
  'callback-polling',
];

/**
 * Resolves with the transport that Faye goes over to after its handshake, once that is open. Until
 * then it uses the handshake's; it tells only its log.
 */
function nextTransport(Faye) {
  let selections = 0;
  return new Promise((resolve) => {
    Faye.logger = {
      debug(line) {
        const [, transport] = /Selected "(.*)" transport/.exec(line) ?? [];
        if (transport) selections += 1;
        if (selections < 2) return;
        delete Faye.logger;
        resolve(transport);
      },
    };
  });
}

/**
 * Drives a Faye client, 1.0 to 1.4, in Node and in browsers. Faye subscribes by itself to its
 * channels again after a new handshake.
 *
 * @param {object} Faye
 * @param {(event: object) => void} report
 */
export function fayeDriver(Faye, report) {
  const subscriptions = new Map();
  const replies = new Map();
  const shown = new Shown();
  let client;
  let session = 0;
  let missing = null;

  const nextReply = (channel) =>
    new Promise((resolve, reject) => {
      replies.set(channel, (reply) => {
        replies.delete(channel);
        if (reply.successful) resolve();
        else reject(new Error(JSON.stringify(reply)));
      });
    });

  /** Looks for the end of a reconnection: every subscription made anew, and a connect answered. */
  function watch(reply) {
    if (!reply.successful) return;
    if (reply.channel === '/meta/handshake') {
      session += 1;
      if (session > 1) missing = new Set(['/meta/connect', ...subscriptions.keys()]);
    }
    if (!missing) return;
    missing.delete(reply.channel === '/meta/subscribe' ? reply.subscription : reply.channel);
    if (missing.size > 0) return;
    missing = null;
    report({ type: 'reconnected' });
  }

  const settled = (deferrable) =>
    new Promise((resolve, reject) => {
      // Faye's errors do not leave a page in one piece.
      deferrable.then(() => resolve(), ({ message }) => reject(new Error(message)));
    });

  return {
    async connect(url, { transports, ext }) {
      client = new Faye.Client(url, { retry: 0.1 });
      for (const type of TRANSPORTS) {
        if (!transports.includes(type)) client.disable(type);
      }
      client.addExtension({
        outgoing(message, pass) {
          pass(shown.in(ext && message.channel === '/meta/handshake' ? { ...message, ext } : message));
        },
        incoming(message, pass) {
          pass(message);
          if (message.successful === undefined) return;
          if (!message.successful) report(refusal(message));
          watch(message);
          replies.get(message.channel)?.(message);
        },
      });
      const transport = nextTransport(Faye);
      const connected = nextReply('/meta/connect');
      client.connect();
      await connected;
      return transport;
    },

    /** Shows from now on who it is; see `Shown`. */
    show(...what) {
      shown.set(...what);
    },

    subscribe(channel) {
      const listener = (data) => report({ type: 'message', channel, data });
      const subscription = client.subscribe(channel, listener);
      subscriptions.set(channel, subscription);
      return settled(subscription);
    },

    unsubscribe(channel) {
      const reply = nextReply('/meta/unsubscribe');
      subscriptions.get(channel).cancel();
      subscriptions.delete(channel);
      return reply;
    },

    publish(channel, data) {
      return settled(client.publish(channel, data));
    },

    disconnect() {
      const reply = nextReply('/meta/disconnect');
      client.disconnect();
      return reply;
    },
  };
}
