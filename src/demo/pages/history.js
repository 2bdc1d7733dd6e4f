/** Follows channels that have a history: first what was published before, then what is new, each message once. */

/** Where a page is on a channel: the number of the last message, and the name of the store's numbers. */
const places = new Map();

/**
 * Subscribes a session to a channel. The first time it gets all that is kept; a later session goes on where the one
 * before it was.
 *
 * @param {CometD} cometd
 * @param {string} channel
 * @param {(data, message) => void} listener
 * @param {() => void} [forgotten] the server has begun anew: what was shown is not kept any more
 * @returns the subscription
 */
export function follow(cometd, channel, listener, forgotten = () => {}) {
  const place = places.get(channel);
  const heard = (message) => {
    const id = message.ext?.replay;
    if (id) places.set(channel, { ...places.get(channel), id });
    listener(message.data, message);
  };
  const answered = (reply) => {
    // Messages that come with the reply are heard before it.
    const { epoch, after, recovered } = reply.ext?.replay?.[channel] ?? {};
    if (!recovered && place?.epoch && epoch !== place.epoch) forgotten();
    places.set(channel, { id: after, ...places.get(channel), epoch });
  };
  return cometd.subscribe(channel, heard, { ext: { replay: place ?? -2 } }, answered);
}

/** Ends a subscription; who follows its channel again gets all that is kept. */
export function unfollow(cometd, subscription) {
  places.delete(subscription.channel);
  cometd.unsubscribe(subscription);
}
