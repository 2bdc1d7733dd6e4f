// How the game is connected to Mirant: as an application server, by a Bayeux client. It knows nothing of tennis.
import { adapt } from 'cometd-nodejs-client';

adapt(); // before cometd is loaded
const { CometD } = await import('cometd');

const EVENTS = '/service/events';

export class Wire {
  #cometd = new CometD();
  #url;
  #token;
  #services;
  #begun;
  #ended;

  /**
   * @param {string} url of the Bayeux endpoint
   * @param {string} token a key that allows "calls" and "publish"
   * @param {object} game
   * @param {Record<string, Function>} game.services by channel: of a caller's session and data, what the answer is
   * @param {Function} game.begun called when calls are about to come, at first and after each loss of the session
   * @param {Function} game.ended called with the name of a session that has ended
   */
  constructor(url, token, { services, begun, ended }) {
    this.#url = url;
    this.#token = token;
    this.#services = services;
    this.#begun = begun;
    this.#ended = ended;
    const cometd = this.#cometd;
    cometd.configure({ url, logLevel: 'warn' });
    cometd.addListener('/meta/handshake', (reply) => this.#shaken(reply));
  }

  open() {
    this.#cometd.handshake({ ext: { authentication: { token: this.#token } } });
  }

  /** Ends the session, so that nobody waits for its answers. */
  close() {
    return new Promise((resolve) => this.#cometd.disconnect(resolve));
  }

  /** Publishes messages, `[channel, data]`, in one batch; while the connection is broken they are left out. */
  publish(messages) {
    if (this.#cometd.getStatus() !== 'connected') return;
    this.#cometd.batch(() => {
      for (const [channel, data] of messages) this.#cometd.publish(channel, data);
    });
  }

  /** The last message that is kept of each channel of a pattern, by the channel. */
  async lastOf(pattern) {
    const last = new Map();
    for (let after, end = false; !end; ) {
      const url = new URL(`/history${pattern}?${after ? `after=${after}` : ''}`, this.#url);
      const response = await fetch(url, { headers: { Authorization: `Bearer ${this.#token}` } });
      if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
      const page = await response.json();
      for (const { channel, data } of page.messages) last.set(channel, data);
      ({ next: after, end } = page);
    }
    return last;
  }

  async #shaken({ successful, failure, error }) {
    if (failure) return; // of the network: the client tries again
    try {
      if (!successful) throw new Error(`refused: ${error}`);
      // Of a new session nobody knows the subscriptions.
      await this.#subscribe(EVENTS, (message) => this.#hear(message));
      await this.#begun();
      await this.#subscribe(Object.keys(this.#services), (message) => this.#answer(message));
      console.log('takes calls');
    } catch ({ message }) {
      console.error(message);
      process.exitCode = 1;
      this.#cometd.disconnect();
    }
  }

  #subscribe(channels, hear) {
    return new Promise((resolve, reject) => {
      const subscribed = ({ successful, error }) => (successful ? resolve() : reject(new Error(`refused: ${error}`)));
      const subscribe = (channel) => this.#cometd.subscribe(channel, hear, subscribed);
      this.#cometd.batch(() => [channels].flat().forEach(subscribe));
    });
  }

  #hear({ data, ext }) {
    if (ext?.call) return; // clients can call this channel, too, and hear nothing
    for (const { event, session } of data.events) if (event === 'session_ended') this.#ended(session);
  }

  #answer({ channel, data, ext: { call } }) {
    const reply = (answer, told) => this.#cometd.publish(channel, answer, { ext: { call: { id: call.id, ...told } } });
    try {
      reply(this.#services[channel](call.session, data ?? {}));
    } catch ({ message }) {
      reply({ error: message }, { successful: false });
    }
  }
}
