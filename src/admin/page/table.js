/** A table whose rows stay where they are when it is told again, so that what has the focus keeps it. */

import { fill, h } from './dom.js';

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {(row: object) => string | Node} cell
 * @property {boolean} [isNumber] aligned at the right
 * @property {boolean} [isStill] made once for each row, as a link is
 */

/** Roles are named because rows are cards on a narrow screen, which would take theirs away. */
export class Table {
  #columns;
  #key;
  #rows = new Map();
  #body = h('tbody', { role: 'rowgroup' });

  /**
   * @param {string} caption
   * @param {Column[]} columns
   * @param {(row: object) => string} key
   */
  constructor(caption, columns, key) {
    this.#columns = columns;
    this.#key = key;
    const heads = columns.map((column) =>
      h('th', { scope: 'col', role: 'columnheader', class: column.isNumber && 'number' }, column.name),
    );
    this.element = h(
      'table',
      { role: 'table' },
      h('caption', { class: 'unseen' }, caption),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...heads)),
      this.#body,
    );
  }

  /** Shows these rows, in their order. */
  show(rows) {
    const shown = new Map();
    for (const row of rows) {
      const key = this.#key(row);
      const known = this.#rows.get(key) ?? this.#make();
      this.#columns.forEach((column, index) => {
        const cell = known.cells[index];
        if (column.isStill && cell.hasChildNodes()) return;
        const content = column.cell(row);
        if (content instanceof Node) fill(cell, content);
        else if (cell.textContent !== content) cell.textContent = content;
      });
      shown.set(key, known);
    }
    for (const [key, known] of this.#rows) if (!shown.has(key)) known.row.remove();
    let before = null;
    for (const known of [...shown.values()].reverse()) {
      if (known.row.nextSibling !== before || !known.row.parentNode) this.#body.insertBefore(known.row, before);
      before = known.row;
    }
    this.#rows = shown;
  }

  #make() {
    const cells = this.#columns.map((column) =>
      h('td', { role: 'cell', 'data-name': column.name, class: column.isNumber && 'number' }),
    );
    return { row: h('tr', { role: 'row' }, ...cells), cells };
  }
}

/** Moves between the pages of a list. */
export class Pages {
  #before = [];
  #after = '';
  #next = null;
  #earlier;
  #later;
  #told = h('span', { class: 'muted' });

  constructor(load) {
    const button = (text, move) =>
      h('button', {
        type: 'button',
        onclick: () => {
          move();
          load();
        },
      }, text);
    this.#earlier = button('← Previous', () => {
      this.#after = this.#before.pop() ?? '';
    });
    this.#later = button('Next →', () => {
      this.#before.push(this.#after);
      this.#after = this.#next;
    });
    this.element = h('div', { class: 'pages' }, this.#earlier, this.#told, this.#later);
  }

  /** What `after` has to be for the page that is shown. */
  get after() {
    return this.#after;
  }

  reset() {
    this.#before = [];
    this.#after = '';
  }

  /** Notes what came, and what comes after it. */
  show(next) {
    this.#next = next;
    this.#earlier.disabled = this.#before.length === 0;
    this.#later.disabled = !next;
    this.#told.textContent = `Page ${this.#before.length + 1}`;
    this.element.hidden = this.#before.length === 0 && !next;
  }
}

/** Loads again and again while it is shown; what fails is told in place of what there is to see. */
export function loading(load, seconds = 0) {
  const aborter = new AbortController();
  const problem = h('div', {});
  let timer;
  let turn = 0;
  const again = async () => {
    clearTimeout(timer);
    turn += 1;
    const mine = turn;
    try {
      const apply = await load(aborter.signal);
      if (mine !== turn || aborter.signal.aborted) return;
      apply();
      fill(problem);
    } catch (error) {
      if (mine !== turn || aborter.signal.aborted) return;
      fill(problem, h('p', { class: 'failure', role: 'alert' }, '⚠ ', error.message));
    }
    if (seconds) timer = setTimeout(again, seconds * 1000);
  };
  const stop = () => {
    aborter.abort();
    clearTimeout(timer);
  };
  return { again, stop, problem };
}
