/**
 * Drives dojox.cometd, 1.2 to 1.7, in browsers.
 *
 * @param {object} dojo
 * @param {object} cometd `dojox.cometd`
 * @param {(event: object) => void} report
 */
export function dojoxDriver(dojo, cometd, report) {
  const publications = new Map();
  let published;
  let handshakes = 0;
  let connected = 0;

  // There is no callback for publishing; the extension lists see every message and its id.
  cometd._extendOutList.push((message) => {
    if (!message.channel.startsWith('/meta/')) published = message.id;
  });
  cometd._extendInList.push((message) => {
    if (message.successful === undefined) return;
    publications.get(message.id)?.(message);
    publications.delete(message.id);
  });

  const settled = (deferred) =>
    new Promise((resolve, reject) => {
      deferred.addCallbacks(() => resolve(), reject);
    });

  return {
    connect(url, { transports }) {
      cometd._backoffIncrement = 100;
      // A script that fails to load is noticed only by this time (ms), added to the advised one.
      if (transports.includes('callback-polling')) cometd.expectedNetworkDelay = 3_000;
      return new Promise((resolve) => {
        dojo.subscribe('/cometd/meta', ({ action, successful }) => {
          if (!successful) return;
          if (action === 'handshake') handshakes += 1;
          if (action !== 'connect' || connected === handshakes) return;
          connected = handshakes;
          if (connected > 1) report({ type: 'reconnected' });
          else resolve(cometd.currentTransport._connectionType);
        });
        cometd.init(url);
      });
    },

    subscribe(channel) {
      const listener = ({ channel: name, data, timestamp }) => {
        report({ type: 'message', channel: name, data, timestamp });
      };
      return settled(cometd.subscribe(channel, listener));
    },

    unsubscribe(channel) {
      return settled(cometd.unsubscribe(channel));
    },

    publish(channel, data) {
      cometd.publish(channel, data);
      return new Promise((resolve, reject) => {
        publications.set(published, (reply) => {
          if (reply.successful) resolve();
          else reject(new Error(JSON.stringify(reply)));
        });
      });
    },

    /** What `dojox.cometd.timesync` knows, in milliseconds, and from how many replies. */
    clock() {
      const { offset, lag, samples } = cometd.timesync;
      return { offset, lag, samples };
    },

    clientId() {
      return cometd.clientId;
    },

    /** Ends the session; dojox.cometd does not look at the reply. */
    disconnect() {
      cometd.disconnect();
    },
  };
}
