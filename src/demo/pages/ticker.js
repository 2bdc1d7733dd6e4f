/** The ticker: a tile for each price, drawn anew with the next frame after it has changed. */
import { follow } from './history.js';
import { start } from './shell.js';
import { Slow } from './slow.js';

const CHANNELS = '/demo/ticker/*';
const MOST_TILES = 150;
const MOST_PRICES = 40;
const PAUSE = 2000;
const SVG = 'http://www.w3.org/2000/svg';

const find = (what) => document.querySelector(what);
const tiles = new Map();
const changed = new Set();
let received = 0;
let skipped = 0;
let slow;

/** One price, and those before it. */
class Tile {
  element = document.createElement('li');
  number = null;
  #cents = [];
  #parts = {};
  #curve = document.createElementNS(SVG, 'polyline');

  constructor(name) {
    this.name = name;
    this.element.className = 'tile card';
    for (const part of ['name', 'price', 'change']) {
      this.#parts[part] = Object.assign(document.createElement('span'), { className: part });
      this.element.append(this.#parts[part]);
    }
    this.#parts.name.textContent = name;
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 100 20');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(this.#curve);
    this.element.append(svg);
  }

  /** Takes the next price; returns how many have come between the last and this one. */
  take(cents, number) {
    const missed = this.number === null ? 0 : Math.max(0, number - this.number - 1);
    this.number = number;
    this.#cents.push(cents);
    if (this.#cents.length > MOST_PRICES) this.#cents.shift();
    return missed;
  }

  draw() {
    const prices = this.#cents;
    const [first, last] = [prices[0], prices.at(-1)];
    const percent = ((last - first) / first) * 100;
    const direction = last > first ? 'up' : last < first ? 'down' : 'level';
    this.element.className = `tile card ${direction}`;
    this.#parts.price.textContent = (last / 100).toFixed(2);
    const sign = { up: '▲', down: '▼', level: '•' }[direction];
    this.#parts.change.textContent = `${sign} ${Math.abs(percent).toFixed(2)} %`;
    const lowest = Math.min(...prices);
    const height = Math.max(...prices) - lowest || 1;
    const step = 100 / Math.max(1, prices.length - 1);
    const points = prices.map((cents, index) => `${(index * step).toFixed(1)},${(19 - ((cents - lowest) / height) * 18).toFixed(1)}`);
    this.#curve.setAttribute('points', points.join(' '));
  }
}

/** Takes a price. Anyone may publish anything: what is none is passed over. */
function hear(data, { channel }, isPast) {
  const { name, cents, change } = data ?? {};
  if (typeof name !== 'string' || !(cents > 0) || !Number.isInteger(change)) return;
  let tile = tiles.get(channel);
  if (!tile) {
    if (tiles.size === MOST_TILES) return;
    tile = new Tile(name);
    tiles.set(channel, tile);
    const after = [...tiles.values()].filter((other) => other.name > name && other.element.isConnected);
    const next = after.sort((a, b) => (a.name < b.name ? -1 : 1))[0];
    find('.tiles').insertBefore(tile.element, next?.element ?? null);
  }
  if (!isPast) received += 1;
  skipped += tile.take(cents, change);
  if (changed.size === 0) requestAnimationFrame(draw);
  changed.add(tile);
}

function draw() {
  for (const tile of changed) tile.draw();
  changed.clear();
}

function forget() {
  tiles.clear();
  changed.clear();
  find('.tiles').replaceChildren();
}

/** How many prices came in each of the last seconds, not those that were kept. */
const counts = [];
setInterval(() => {
  counts.push(received);
  received = 0;
  if (counts.length > 4) counts.shift();
  const sum = counts.reduce((all, count) => all + count, 0);
  find('#rate').textContent = Math.round(sum / counts.length).toLocaleString();
  find('#skipped').textContent = skipped.toLocaleString();
}, 1000);

let before;
find('#slow').addEventListener('click', ({ target }) => {
  if (!slow) return;
  const isSlow = slow.pause === 0;
  if (isSlow) before = shell.transport;
  slow.pause = isSlow ? PAUSE : 0;
  target.setAttribute('aria-pressed', isSlow);
  find('#pace').textContent = isSlow
    ? `This page polls every ${PAUSE / 1000} seconds. Meanwhile the server keeps one price of each company for it.`
    : 'Each price comes as soon as it changes.';
  shell.moveTo(isSlow ? 'long-polling' : before);
});

const shell = await start({
  onSession(cometd) {
    follow(cometd, CHANNELS, hear, forget);
  },
});
slow = new Slow(shell.cometd);
