/**
 * Drives the streaming client of jsforce as its documentation has it, with its own extensions.
 *
 * @param {object} jsforce
 * @param {object} StreamingExtension
 * @param {(event: object) => void} report
 */
export function jsforceDriver(jsforce, StreamingExtension, report) {
  let client;
  let replay;

  return {
    /**
     * @param {string} url
     * @param {object} options
     * @param {object} options.since how far it was, for one channel
     * @param {string} [options.token] what it shows by an extension more: its header is that of Salesforce
     */
    async connect(url, { since, token }) {
      const [[channel, position]] = Object.entries(since);
      const instanceUrl = url.replace(/\/cometd$/, '');
      const connection = new jsforce.Connection({ instanceUrl, accessToken: 'token', version: '58.0' });
      const failed = new StreamingExtension.AuthFailure((message) => {
        report({ type: 'refusal', channel: message.channel, error: message.error, reconnect: 'none' });
      });
      replay = new StreamingExtension.Replay(channel, position);
      const shown = {
        outgoing(message, pass) {
          if (token && message.channel === '/meta/handshake') message.ext = { authentication: { token } };
          pass(message);
        },
      };
      client = connection.streaming.createClient([failed, replay, shown]);
      return 'faye';
    },

    async subscribe(channel) {
      const subscription = client.subscribe(channel, (data) => report({ type: 'message', channel, data }));
      await subscription.then(null, (error) => {
        throw new Error(error.toString());
      });
    },

    /** How far it is. */
    positions() {
      return { [replay._channel]: replay._replay };
    },

    /** Will ask for what came after this. */
    goBack(channel, position) {
      replay.setReplay(position);
    },

    disconnect() {
      return client.disconnect();
    },
  };
}
