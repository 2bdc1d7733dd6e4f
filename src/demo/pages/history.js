/** Follows channels that have a history: first what was published before, then what is new, each message once. */

/** Where a page is on a channel: the number of the last message, and the name of the store's numbers. */
const places = new Map();

/**
 * Subscribes a session to a channel. The first time it gets all that is kept; a later session goes on where the one
 * before it was.
 *
 * @param {CometD} cometd
 * @param {string} channel
 * @param {(data, message, isPast: boolean) => void} listener
 * @param {() => void} [forgotten] the server has begun anew: what was shown is not kept any more
 * @returns the subscription
 */
export function follow(cometd, channel, listener, forgotten = () => {}) {
  const place = places.get(channel);
  let newestPast = 0;
  const heard = (message) => {
    const id = message.ext?.replay;
    if (id) places.set(channel, { ...places.get(channel), id });
    listener(message.data, message, id <= newestPast);
  };
  // What was missed comes after this reply.
  const answered = (reply) => {
    const { epoch, after, last } = reply.ext?.replay?.[channel] ?? {};
    newestPast = last ?? 0;
    if (!epoch || epoch === place?.epoch) return;
    places.set(channel, { id: after, epoch });
    if (place?.epoch) forgotten();
  };
  return cometd.subscribe(channel, heard, { ext: { replay: place ?? -2 } }, answered);
}

/** Ends a subscription; who follows its channel again gets all that is kept. */
export function unfollow(cometd, subscription) {
  places.delete(subscription.channel);
  cometd.unsubscribe(subscription);
}
