/**
 * Drives a `CometD` object, of cometd.js 3 to 9 or of its jQuery binding; in Node and in browsers.
 *
 * @param {object} cometd
 * @param {(event: object) => void} report
 */
export function cometdDriver(cometd, report) {
  const subscriptions = new Map();
  let handshakes = 0;
  let connected = 0;

  const answer = (send) =>
    new Promise((resolve, reject) => {
      send((reply) => (reply.successful ? resolve() : reject(new Error(JSON.stringify(reply)))));
    });

  return {
    connect(url, { transports }) {
      cometd.configure({ url, backoffIncrement: 100, logLevel: 'warn' });
      for (const type of cometd.getTransportTypes()) {
        if (!transports.includes(type)) cometd.unregisterTransport(type);
      }
      return new Promise((resolve, reject) => {
        cometd.addListener('/meta/handshake', ({ successful, failure, error }) => {
          if (successful) handshakes += 1;
          else if (!failure) reject(new Error(`handshake refused: ${error}`));
        });
        cometd.addListener('/meta/connect', ({ successful }) => {
          if (!successful || connected === handshakes) return;
          connected = handshakes;
          if (connected > 1) report({ type: 'reconnected' });
          else resolve(cometd.getTransport().type ?? cometd.getTransport().getType());
        });
        cometd.handshake();
      });
    },

    subscribe(channel) {
      return answer((done) => {
        const listener = ({ channel: name, data }) => report({ type: 'message', channel: name, data });
        subscriptions.set(channel, cometd.subscribe(channel, listener, done));
      });
    },

    unsubscribe(channel) {
      return answer((done) => cometd.unsubscribe(subscriptions.get(channel), done));
    },

    publish(channel, data) {
      return answer((done) => cometd.publish(channel, data, done));
    },

    disconnect() {
      return answer((done) => {
        cometd.addListener('/meta/disconnect', done);
        cometd.disconnect();
      });
    },
  };
}
