/**
 * The drawing: while a stroke is drawn, its parts go to those who are here; finished, it goes whole to a channel whose
 * history is the sheet.
 */
import { follow } from './history.js';
import { Pen } from './pen.js';
import { hueOf, newId, ownName } from './person.js';
import { Pointers } from './pointers.js';
import { Presence } from './presence.js';
import { Sheet, isStroke } from './sheet.js';
import { start } from './shell.js';

const STROKES = '/demo/drawing/strokes';
const PARTS = '/demo/drawing/parts';
const POINTERS = '/demo/drawing/pointers';
const PRESENT = '/demo/present/drawing';
/** How often parts and pointers are sent at most, in milliseconds. */
const BEAT = 60;
const COLOURS = [['#2b2620', 'ink'], ['#b23a2a', 'red'], ['#d08a1d', 'amber'], ['#3d7a3a', 'green'], ['#2b6cb0', 'blue'], ['#8a4a9e', 'violet']];

const find = (what) => document.querySelector(what);
const me = { id: newId(), name: ownName() };
const sheet = new Sheet(find('#done'), find('#live'));
const pointers = new Pointers(find('.pointers'));
const presence = new Presence(me, showPeople);
/** Strokes of mine that the server has not taken yet, and those that it has. */
const unsent = new Map();
const mine = [];
let parts = [];
let place;
let hasMoved = false;
let cometd;
let isConnected = false;

for (const [index, [colour, name]] of COLOURS.entries()) {
  const label = document.createElement('label');
  label.innerHTML = '<input type="radio" name="colour"><span></span>';
  const [input, spot] = label.children;
  Object.assign(input, { value: colour, checked: index === 0 });
  input.setAttribute('aria-label', name);
  label.title = name;
  spot.style.setProperty('--colour', colour);
  find('.colours').append(label);
}

new Pen(find('#live'), sheet, {
  style: () => ({ colour: find('.colours input:checked').value, width: Number(find('#width').value) }),
  grown(part) {
    sheet.grow(part);
    parts.push(part);
  },
  done(stroke) {
    sheet.add(stroke);
    mine.push(stroke.id);
    find('#undo').disabled = false;
    unsent.set(stroke.id, stroke);
    if (isConnected) send(stroke);
  },
  moved(to, byKeyboard) {
    // Who has no pointer to look at sees the pen.
    if (byKeyboard) pointers.take({ id: me.id, name: 'you', place: to });
    place = to;
    hasMoved = true;
  },
});

/** Publishes a stroke, until the server has taken it. */
function send(stroke) {
  cometd.publish(STROKES, stroke, ({ successful }) => {
    if (successful) unsent.delete(stroke.id);
  });
}

/** Sends what there is of strokes that are being drawn, and where the pen is. */
setInterval(() => {
  const grown = parts;
  parts = [];
  if (!isConnected) return;
  cometd.batch(() => {
    for (const part of joined(grown)) cometd.publish(PARTS, { ...part, by: me.id });
    if (hasMoved) cometd.publish(`${POINTERS}/${me.id}`, { ...me, place });
  });
  hasMoved = false;
}, BEAT);

/** Makes one part of those of each stroke. */
function joined(all) {
  const strokes = new Map();
  for (const part of all) {
    const known = strokes.get(part.id);
    if (known) known.points.push(...part.points);
    else strokes.set(part.id, { ...part, points: [...part.points] });
  }
  return strokes.values();
}

/** Takes what becomes of the sheet. Anyone may publish anything: what is none of these is passed over. */
function hear(data) {
  if (data?.clear === true) sheet.clear();
  else if (typeof data?.remove === 'string') sheet.remove(data.remove);
  else if (isStroke(data)) sheet.add(data);
  find('#live').setAttribute('aria-label', `The sheet: ${sheet.size} ${sheet.size === 1 ? 'stroke' : 'strokes'}`);
}

find('#undo').addEventListener('click', ({ target }) => {
  const id = mine.pop();
  target.disabled = mine.length === 0;
  unsent.delete(id);
  sheet.remove(id);
  if (isConnected) cometd.publish(STROKES, { remove: id });
});

find('#clear').addEventListener('click', () => {
  if (isConnected) cometd.publish(STROKES, { clear: true });
});

function showPeople() {
  const all = [...presence.people.values()].sort((a, b) => a.name.localeCompare(b.name));
  find('.people ul').replaceChildren(
    ...all.map(({ id, name }) => {
      const line = document.createElement('li');
      line.style.setProperty('--hue', hueOf(name));
      line.textContent = id === me.id ? `${name} (you)` : name;
      return line;
    }),
  );
}

await start({
  onSession(client) {
    cometd = client;
    follow(cometd, STROKES, hear, () => sheet.clear());
    cometd.subscribe(PARTS, ({ data }) => data?.by !== me.id && isStroke(data) && sheet.grow(data));
    cometd.subscribe(`${POINTERS}/*`, ({ data, channel }) => {
      const id = channel.slice(POINTERS.length + 1);
      if (id !== me.id && typeof data?.name === 'string') pointers.take({ ...data, id });
    });
    presence.enter(cometd, PRESENT);
  },
  onState(connected) {
    const isBack = connected && !isConnected;
    isConnected = connected;
    if (isBack) for (const stroke of unsent.values()) send(stroke);
  },
  onLeave: () => [...presence.bye(), { channel: `${POINTERS}/${me.id}`, data: { ...me } }],
});
