/** A small chart of the last quarter of an hour: one or two lines, told apart by more than their colour. */

import { bytes, h } from './dom.js';

const SPAN = 15 * 60 * 1000;
const WIDTH = 300;
const HEIGHT = 64;

const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

/** The next round number above: 1, 2 or 5 with as many zeros as it takes; of bytes the next power of two. */
function ceiling(value, isBytes) {
  if (value <= 0) return 1;
  if (isBytes) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

export class Chart {
  #lines;
  #text;
  #values;
  #top = h('span', { class: 'top' });
  #picture;
  #paths;
  #area;
  #title;

  /**
   * @param {string} title
   * @param {(value: number) => string} text how a value is written
   * @param {{name?: string, value: (figures: object) => number | null}[]} lines
   */
  constructor(title, text, lines) {
    this.#title = title;
    this.#lines = lines;
    this.#text = text;
    this.#area = svg('path', { class: 'area' });
    this.#paths = lines.map((_, index) => svg('path', { class: `line line${index}` }));
    this.#picture = svg(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
      svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: 1, y2: 1 }),
      svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
      this.#area,
      ...this.#paths,
    );
    this.#values = lines.map(() => h('span', { class: 'value' }, '–'));
    const legend = lines.map((line, index) =>
      h(
        'span',
        { class: 'figure' },
        this.#values[index],
        line.name && h('span', { class: `name name${index}` }, line.name),
      ),
    );
    this.element = h(
      'section',
      { class: 'card chart' },
      h('h2', {}, title),
      h('div', { class: 'figures' }, ...legend),
      h('div', { class: 'plot' }, this.#top, this.#picture),
      h('div', { class: 'axis', 'aria-hidden': 'true' }, h('span', {}, '15 min ago'), h('span', {}, 'now')),
    );
  }

  /** Shows what was, and is now. */
  show(past, now) {
    const all = [...past, now];
    const values = this.#lines.map((line) => all.map((figures) => line.value(figures) ?? 0));
    const highest = Math.max(...values.flat());
    const top = ceiling(highest, this.#text === bytes);
    const at = (figures) => WIDTH - ((now.at - figures.at) / SPAN) * WIDTH;
    const up = (value) => HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    values.forEach((line, index) => {
      const points = line.map((value, place) => `${at(all[place]).toFixed(1)} ${up(value).toFixed(1)}`);
      this.#paths[index].setAttribute('d', `M${points.join('L')}`);
      if (index === 0) {
        const begin = at(all[0]).toFixed(1);
        this.#area.setAttribute('d', `M${begin} ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}Z`);
      }
    });
    this.#top.textContent = this.#text(top);
    const told = this.#lines.map((line, index) => {
      const value = line.value(now);
      const text = value === null ? '–' : this.#text(value);
      this.#values[index].textContent = text;
      return `${line.name ?? 'now'} ${text}`;
    });
    const most = `highest ${this.#text(highest)} in the last 15 minutes`;
    this.#picture.setAttribute('aria-label', `${this.#title}: ${told.join(', ')}; ${most}`);
  }
}
