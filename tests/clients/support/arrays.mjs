// Arrays of messages, as they may stand in a response, and what becomes of it on its way.

export const space = (random) => random.pick(['', '', '\n', '\n\n', ' \r\n\t']);
export const spaced = (array, random) => JSON.stringify(array, null, random.pick([0, 0, 0, 1, '\t']));

/** What may mislead: brackets, quotes and escapes in strings, half of a pair, other planes. */
const CHARACTERS = [...'[]{}"\\,:- \n\u0001aé日', '😀', '\u2028', '\ud83d', '\r\n--b-1', '--'];

function text(random) {
  return Array.from({ length: random.below(12) }, () => random.pick(CHARACTERS)).join('');
}

function value(random, depth) {
  const kinds = [
    () => text(random),
    () => random.pick([0, -1.5, 1e300, true, false, null]),
    () => Array.from({ length: random.below(4) }, () => value(random, depth - 1)),
    () => Object.fromEntries([1, 2].map(() => [text(random), value(random, depth - 1)])),
  ];
  return random.pick(depth > 0 ? kinds : kinds.slice(0, 2))();
}

export const arraysOf = (random) =>
  Array.from({ length: random.below(5) }, () =>
    Array.from({ length: random.below(4) }, () => value(random, 3)),
  );

/**
 * Cuts a text or bytes at random, also within surrogate pairs and characters, with empty pieces among
 * the others.
 */
export function cut(whole, random) {
  const longest = random.pick([1, 2, 7, 50, 1_000]);
  const pieces = [];
  for (let at = 0; at < whole.length; ) {
    const length = random.below(longest + 1);
    pieces.push(whole.slice(at, at + length));
    at += length;
  }
  return pieces;
}
