/**
 * Who is there, by messages of the clients themselves: who comes says hello, and the others answer that they are here;
 * who goes says bye; and whoever is silent for too long has gone, too.
 */

const BEAT = 10_000;
const SILENCE = 25_000;

export class Presence {
  /** The others and oneself: by id, what they say of themselves. */
  people = new Map();
  #me;
  #channel;
  #changed;
  #cometd;
  #subscription;
  #timer;

  /**
   * @param {{ id: string, name: string }} me
   * @param {() => void} changed somebody has come or gone
   */
  constructor(me, changed) {
    this.#me = me;
    this.#changed = changed;
  }

  /** Is on a channel from now on, and not where it was before. */
  enter(cometd, channel) {
    this.leave();
    this.#cometd = cometd;
    this.#channel = channel;
    this.people.clear();
    this.#subscription = cometd.subscribe(channel, ({ data }) => this.#hear(data));
    this.say('hello');
    this.#timer = setInterval(() => {
      this.say('here');
      this.#forgetSilent();
    }, BEAT);
  }

  leave() {
    clearInterval(this.#timer);
    if (!this.#subscription) return;
    if (!this.#cometd.isDisconnected()) {
      this.say('bye');
      this.#cometd.unsubscribe(this.#subscription);
    }
    this.#subscription = undefined;
  }

  /** What is to be published when the page goes away. */
  bye() {
    return this.#subscription ? [{ channel: this.#channel, data: { ...this.#me, says: 'bye' } }] : [];
  }

  say(says) {
    if (!this.#cometd.isDisconnected()) this.#cometd.publish(this.#channel, { ...this.#me, says });
  }

  #hear({ says, ...person }) {
    if (typeof person.id !== 'string' || typeof person.name !== 'string') return;
    if (says === 'bye') {
      if (this.people.delete(person.id)) this.#changed();
      return;
    }
    const known = this.people.get(person.id);
    this.people.set(person.id, { ...person, at: Date.now() });
    if (known?.name !== person.name) this.#changed();
    // Not all at the same time.
    if (says === 'hello' && person.id !== this.#me.id) setTimeout(() => this.say('here'), Math.random() * 300);
  }

  #forgetSilent() {
    const last = Date.now() - SILENCE;
    for (const [id, { at }] of this.people) if (at < last && this.people.delete(id)) this.#changed();
  }
}
