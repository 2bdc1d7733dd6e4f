/** An extension for cometd.js that says on each subscribe what it has received last, as Salesforce's does. */
export class ReplayExtension {
  /** The number of the last message by channel. */
  positions;

  constructor(positions = {}) {
    this.positions = { ...positions };
  }

  outgoing(message) {
    if (message.channel === '/meta/handshake') message.ext = { ...message.ext, replay: true };
    if (message.channel === '/meta/subscribe') message.ext = { ...message.ext, replay: this.positions };
    return message;
  }

  incoming(message) {
    const id = message.ext?.replay ?? message.data?.event?.replayId;
    if (typeof id === 'number') this.positions[message.channel] = id;
    return message;
  }
}
