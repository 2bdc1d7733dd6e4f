/** Makes a client slow: it polls, and waits between two polls. */
export class Slow {
  /** How long it waits, in milliseconds. */
  pause = 0;
  #interval = 0;

  constructor(cometd) {
    cometd.registerExtension('slow', { incoming: (message) => this.#advise(message, cometd) });
  }

  /** The server's advice says how long to wait before the next connect. */
  #advise(message, cometd) {
    if (message.channel !== '/meta/connect') return message;
    this.#interval = message.advice?.interval ?? this.#interval;
    message.advice = { ...cometd.getAdvice(), ...message.advice, interval: Math.max(this.pause, this.#interval) };
    return message;
  }
}
