import assert from 'node:assert/strict';

/**
 * What was received, each once, in the order in which it came first.
 *
 * A repeated message is only right in a batch that was sent again: that begins anywhere among what
 * came before, and goes on from there without a gap, up to what is new.
 */
export function withoutRepeats(received) {
  const order = [];
  const places = new Map();
  let last = -1;
  for (const message of received) {
    const place = places.get(message) ?? order.length;
    const goesOn = place === last + 1 || (place <= last && places.has(message));
    if (!goesOn) assert.fail(`${message} came after ${order[last]}, in ${received.join(' ')}`);
    if (place === order.length) {
      places.set(message, place);
      order.push(message);
    }
    last = place;
  }
  return order;
}
