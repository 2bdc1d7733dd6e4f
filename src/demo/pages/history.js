/**
 * Follows channels that have a history: first what was published before, then what is new, each message once and in
 * order. What was on its way when the connection was lost, or the session went to another transport, the server counts
 * as delivered; the page then reads in the history what came after what it has.
 */

const followed = new Set();
const { history } = document.documentElement.dataset;
/** How many messages are read at once. */
const PAGE = 500;

export class Follower {
  #cometd;
  #channel;
  #listener;
  #forgotten;
  #subscription;
  /** The last message that was heard: its number, and the name of the store's numbers. */
  #place;
  /** The last message that was kept before this page asked. */
  #newestPast = 0;
  /** What has come, and has to wait for what came before it; null if nothing has to. */
  #waiting = null;

  /**
   * @param {string} channel or a pattern
   * @param {(data, message, isPast: boolean) => void} listener
   * @param {() => void} [forgotten] the server has begun anew: what was heard is not kept any more
   */
  constructor(channel, listener, forgotten = () => {}) {
    [this.#channel, this.#listener, this.#forgotten] = [channel, listener, forgotten];
  }

  /** Subscribes a session, which goes on where the one before it was; the first gets all that is kept. */
  follow(cometd) {
    this.#cometd = cometd;
    this.pause();
    followed.add(this);
    const ext = { replay: this.#place ?? -2 };
    this.#subscription = cometd.subscribe(this.#channel, (message) => this.#hear(message), { ext }, (reply) => this.#subscribed(reply));
  }

  /** Ends it. */
  end() {
    followed.delete(this);
    if (this.#subscription && !this.#cometd.isDisconnected()) this.#cometd.unsubscribe(this.#subscription);
  }

  /** Has all that comes from now on wait. */
  pause() {
    this.#waiting = [];
  }

  /** Reads what was missed, and then takes what waits. */
  async catchUp() {
    if (!this.#place) {
      // It has lost the reply to its first subscribe.
      this.#cometd.unsubscribe(this.#subscription);
      this.follow(this.#cometd);
      return;
    }
    const waiting = this.#waiting;
    try {
      let page;
      do {
        const { id, epoch } = this.#place;
        const url = `${history}${this.#channel}?after=${id}&epoch=${encodeURIComponent(epoch)}&limit=${PAGE}`;
        page = await (await fetch(url)).json();
        for (const { id, ...message } of page.messages) this.#take({ ...message, ext: { replay: id } });
      } while (!page.end);
    } catch {
      // It is tried again when the connection is there again. What waits is better than nothing.
    }
    // Meanwhile there may have been another interruption.
    if (waiting === this.#waiting) this.#takeWaiting();
  }

  /** The reply may come by another way than the messages, and later. */
  #subscribed(reply) {
    if (reply.failure) return;
    const { epoch, after, last } = reply.ext?.replay?.[this.#channel] ?? {};
    this.#newestPast = last ?? 0;
    if (epoch && epoch !== this.#place?.epoch) {
      const hasBegunAnew = this.#place !== undefined;
      this.#place = { id: after, epoch };
      if (hasBegunAnew) this.#forgotten();
    }
    this.#takeWaiting();
  }

  #takeWaiting() {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const message of waiting) this.#take(message);
  }

  #hear(message) {
    if (this.#waiting) this.#waiting.push(message);
    else this.#take(message);
  }

  #take(message) {
    const id = message.ext?.replay;
    if (id <= this.#place?.id) return;
    if (id) this.#place = { ...this.#place, id };
    this.#listener(message.data, message, id <= this.#newestPast);
  }
}

/** Nothing is sure to arrive from now on. */
export function pauseAll() {
  for (const follower of followed) follower.pause();
}

/** Messages arrive again, of the same session. */
export function catchUpAll() {
  for (const follower of followed) follower.catchUp();
}
