/**
 * Drives `dojo.io.cometd` of Dojo 0.4, in browsers. It has no `disconnect`, and says nothing of what
 * became of a message. What it is given between two frames it keeps back, and never sends.
 *
 * @param {object} dojo
 * @param {object} cometd
 * @param {(event: object) => void} report
 */
export function dojoDriver(dojo, cometd, report) {
  const listener = ({ channel, data }) => report({ type: 'message', channel, data });
  let wake = () => {};
  dojo.event.connect('after', cometd, 'deliver', () => wake());

  /** Sends a message in a frame, and resolves when that is answered. */
  const send = async (message) => {
    while (!cometd.currentTransport.connected) await new Promise((resolve) => (wake = resolve));
    await new Promise((resolve, reject) => {
      Object.assign(message(), { load: () => resolve(), error: (_, error) => reject(error) });
    });
  };

  return {
    /** Resolves once its second connect is answered: the first has an end, at once. */
    connect(url) {
      return new Promise((resolve) => {
        dojo.event.connect('after', cometd, 'deliver', (messages) => {
          const isReply = ({ channel, successful }) => channel === '/meta/reconnect' && successful;
          if (!messages.some(isReply)) return;
          resolve(cometd.currentTransport === cometd.iframeTransport ? 'iframe' : 'another');
        });
        cometd.init({}, url);
      });
    },

    subscribe(channel) {
      return send(() => cometd.subscribe(channel, false, listener));
    },

    unsubscribe(channel) {
      return send(() => cometd.unsubscribe(channel, false, listener));
    },

    publish(channel, data) {
      return send(() => cometd.publish(channel, data));
    },
  };
}
