/** What a client shows of who it is, in the `ext` of its messages. */
export class Shown {
  #authentication;
  #isInAll = false;

  /**
   * @param {object} authentication a token, or a user with a password
   * @param {boolean} [isInAll] whether all messages show it, not only handshakes
   */
  set(authentication, isInAll = false) {
    this.#authentication = authentication;
    this.#isInAll = isInAll;
  }

  /** The message as it is to be sent. */
  in(message) {
    const shows = this.#authentication && (this.#isInAll || message.channel === '/meta/handshake');
    return shows ? { ...message, ext: { ...message.ext, authentication: this.#authentication } } : message;
  }
}

/** What is reported of a reply that says no. */
export const refusal = ({ channel, subscription, error, advice }) => {
  return { type: 'refusal', channel, subscription, error, reconnect: advice?.reconnect };
};
