import { ReplayExtension } from './replay.mjs';
import { Shown, refusal } from './shown.mjs';

const transportOf = (cometd) => cometd.getTransport().type ?? cometd.getTransport().getType();

/** What comes with binary data, as numbers: reports are JSON. */
const withBytes = ({ data, ext }) =>
  ext?.binary ? { ...data, data: Array.from(new Uint8Array(data.data)) } : data;

/** Lets a client decide by what transport it goes on whenever a connect fails, as it may. */
function deciding(cometd, choose) {
  const inherited = cometd.onTransportFailure.bind(cometd);
  cometd.onTransportFailure = (message, failure, handle) => {
    inherited(message, failure, (decided) => {
      if (message.channel === '/meta/connect' && decided.action === 'retry') {
        decided.transport = cometd.findTransport(choose());
      }
      handle(decided);
    });
  };
}

/** `remoteCall` as a client has it, or of a client before 3.1: the answer is an event with the id of the call. */
function callsOf(cometd) {
  if (cometd.remoteCall) return (...args) => cometd.remoteCall(...args);
  const waiting = new Map();
  let next;
  cometd.registerExtension('calls', {
    outgoing(message) {
      if (next) waiting.set(message.id, next);
      next = undefined;
      return message;
    },
    incoming(message) {
      if (message.data === undefined || !waiting.has(message.id)) return message;
      waiting.get(message.id)(message);
      waiting.delete(message.id);
      return null;
    },
  });
  return (target, content, _timeout, answered) => {
    next = answered;
    cometd.publish(`/service/${target}`, content);
  };
}

/**
 * Drives a `CometD` object, of cometd.js 3 to 9 or of its jQuery binding; in Node and in browsers.
 *
 * @param {object} cometd
 * @param {(event: object) => void} report
 * @param {(name: string) => Promise<Function>} [load] the constructor of one of the client's own
 *   extensions: `Ack`, `TimeSync` and so on
 */
export function cometdDriver(cometd, report, load) {
  const subscriptions = new Map();
  const extensions = {};
  const shown = new Shown();
  const remoteCall = callsOf(cometd);
  let replay;
  let handshakes = 0;
  let connected = 0;

  const answer = (send) =>
    new Promise((resolve, reject) => {
      send((reply) => (reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)))));
    });

  const listener = ({ channel, timestamp, ...message }) => {
    report({ type: 'message', channel, data: withBytes(message), timestamp });
  };

  return {
    /**
     * @param {string} url
     * @param {object} options
     * @param {string[]} options.transports those it may choose from
     * @param {string[]} [options.extensions]
     * @param {boolean} [options.alternates] whether it takes the next of `transports` when a connect
     *   fails
     * @param {string[]} [options.resumes] what it listens to if its session is one of the page before
     * @param {object} [options.configuration] more of it
     * @param {boolean} [options.patient] whether a refused handshake is not the end
     * @param {object} [options.ext] what its handshake says to extensions
     * @param {object} [options.since] how far it was, by channel: it goes on after that, in new sessions too
     */
    async connect(url, options) {
      const { transports, extensions: names = [], alternates, resumes = [], configuration, ext } = options;
      const { patient, since } = options;
      for (const name of names) {
        extensions[name] = new (await load(name))();
        cometd.registerExtension(name.toLowerCase(), extensions[name]);
      }
      if (since) {
        replay = new ReplayExtension(since);
        cometd.registerExtension('replay', replay);
      }
      let turns = 0;
      if (alternates) deciding(cometd, () => transports[(turns += 1) % transports.length]);
      cometd.configure({ url, backoffIncrement: 100, logLevel: 'warn', ...configuration });
      for (const type of cometd.getTransportTypes()) {
        if (!transports.includes(type)) cometd.unregisterTransport(type);
      }
      return new Promise((resolve, reject) => {
        cometd.addListener('/meta/handshake', ({ successful, failure, error, ext }) => {
          if (ext?.reload) resumes.forEach((channel) => cometd.subscribe(channel, listener));
          if (replay) [...subscriptions.keys()].forEach((channel) => cometd.subscribe(channel, listener));
          if (successful) handshakes += 1;
          else if (!failure && !patient) reject(new Error(`handshake refused: ${error}`));
        });
        cometd.addListener('/meta/connect', ({ successful }) => {
          if (!successful || connected === handshakes) return;
          connected = handshakes;
          if (connected > 1) report({ type: 'reconnected' });
          else resolve(transportOf(cometd));
        });
        cometd.addListener('/meta/unsuccessful', (reply) => {
          if (!reply.failure) report(refusal(reply));
        });
        cometd.handshake(ext && { ext });
      });
    },

    /** How far it is on each channel. */
    positions() {
      return replay.positions;
    },

    /** Will ask for what came after this on a channel. */
    goBack(channel, position) {
      replay.positions[channel] = position;
    },

    /** Shows from now on who it is; see `Shown`. */
    show(...what) {
      shown.set(...what);
      cometd.registerExtension('shown', { outgoing: (message) => shown.in(message) });
    },

    subscribe(channel) {
      return answer((done) => {
        subscriptions.set(channel, cometd.subscribe(channel, listener, done));
      });
    },

    unsubscribe(channel) {
      return answer((done) => cometd.unsubscribe(subscriptions.get(channel), done));
    },

    publish(channel, data) {
      return answer((done) => cometd.publish(channel, data, done));
    },

    publishBinary(channel, bytes) {
      return answer((done) => cometd.publishBinary(channel, new Uint8Array(bytes), done));
    },

    /** Calls a service, with a bound of its own; resolves with how that ended. */
    remoteCall(target, content, timeout) {
      return new Promise((resolve) => {
        remoteCall(target, content, timeout, ({ successful, data, error }) => resolve({ successful, data, error }));
      });
    },

    /** Makes many calls of a service at once. How each ends is reported, and again whatever else comes of it. */
    remoteCalls(target, contents) {
      cometd.addListener(`/service/${target}`, (again) => report({ type: 'message', channel: 'again', data: again }));
      for (const content of contents) {
        remoteCall(target, content, 0, ({ successful, data, error }) =>
          report({ type: 'message', channel: 'answer', data: { content, successful, data, error } }),
        );
      }
    },

    /** What its TimeSyncExtension knows, in milliseconds. */
    clock() {
      const { TimeSync } = extensions;
      return { offset: TimeSync.getTimeOffset(), lag: TimeSync.getNetworkLag() };
    },

    /** Goes on by this transport when a connect fails. */
    prefer(transport) {
      deciding(cometd, () => transport);
    },

    /** The transport it uses now. */
    transport() {
      return transportOf(cometd);
    },

    clientId() {
      return cometd.getClientId();
    },

    /** Tells its ReloadExtension that the page goes. */
    leave() {
      cometd.reload();
    },

    disconnect() {
      return answer((done) => {
        cometd.addListener('/meta/disconnect', done);
        cometd.disconnect();
      });
    },
  };
}
