/** Who one is in the demonstrations: a name that can be changed, and a colour by it. */

const FIRST = ['Amber', 'Brave', 'Calm', 'Daring', 'Eager', 'Frank', 'Gentle', 'Happy', 'Jolly', 'Keen', 'Lucky', 'Merry', 'Noble', 'Quick', 'Sunny', 'Witty'];
const SECOND = ['Badger', 'Crane', 'Dolphin', 'Falcon', 'Fox', 'Hare', 'Heron', 'Ibex', 'Lynx', 'Magpie', 'Marten', 'Otter', 'Robin', 'Seal', 'Swift', 'Wren'];
const KEPT = 'mirant-demo-name';

const any = (list) => list[Math.floor(Math.random() * list.length)];

/** What a name may be: some visible characters. */
const proper = (name) => String(name ?? '').trim().slice(0, 30);

/** The name of this tab, or else the last of this browser; the first time any. */
export function ownName() {
  const name = proper(sessionStorage.getItem(KEPT) ?? localStorage.getItem(KEPT)) || `${any(FIRST)} ${any(SECOND)}`;
  return keepName(name);
}

/** Keeps a name for this tab and for the next; returns it as it is kept. */
export function keepName(name) {
  const kept = proper(name) || `${any(FIRST)} ${any(SECOND)}`;
  sessionStorage.setItem(KEPT, kept);
  localStorage.setItem(KEPT, kept);
  return kept;
}

/** A number from 0 to 359 by a text: a hue that is the same for all who see it. */
export function hueOf(text) {
  let hash = 0;
  for (const character of String(text)) hash = (Math.imul(hash, 31) + character.codePointAt(0)) >>> 0;
  // Neighbours are far apart: by the golden angle.
  return Math.round((hash % 997) * 137.508) % 360;
}

/** Names this page among others, also of the same person. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('');
