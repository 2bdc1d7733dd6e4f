/** The configuration in force. */

import { get } from './api.js';
import { empty, field, foreign, h, heading } from './dom.js';
import { Table, loading } from './table.js';

/** All keys with their values, one row each; of a list one row for each entry. */
function rows(all) {
  return Object.entries(all).flatMap(([section, value]) => {
    if (Array.isArray(value)) return entries(section, value);
    return Object.entries(value).flatMap(([key, inner]) =>
      Array.isArray(inner) && inner.some((item) => item !== null && typeof item === 'object')
        ? entries(`${section}.${key}`, inner)
        : [{ key: `${section}.${key}`, value: inner === null ? 'unset' : JSON.stringify(inner) }],
    );
  });
}

const isSet = ([, value]) => value !== null && !(Array.isArray(value) && value.length === 0);

const entries = (key, list) =>
  list.length === 0
    ? [{ key, value: '[]' }]
    : list.map((item, index) => ({
        key: `${key}[${index}]`,
        value: JSON.stringify(Object.fromEntries(Object.entries(item).filter(isSet))),
      }));

export function configuration() {
  let all = [];
  const search = h('input', { type: 'search', autocomplete: 'off', oninput: () => show() });
  const table = new Table(
    'Keys and values',
    [
      { name: 'Key', cell: (row) => h('span', { class: 'code' }, row.key) },
      { name: 'Value', cell: (row) => h('span', { class: 'code' }, foreign(row.value, 4000)) },
    ],
    (row) => row.key,
  );
  const none = empty('No key or value is like this.');
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = all.filter((row) => `${row.key} ${row.value}`.toLowerCase().includes(wanted));
    table.show(found);
    table.element.hidden = found.length === 0;
    none.hidden = found.length > 0;
  };
  const load = loading(async (signal) => {
    const now = await get('/configuration', signal);
    return () => {
      all = rows(now);
      show();
    };
  });
  table.element.hidden = true;
  none.hidden = true;
  load.again();
  return {
    element: h(
      'div',
      {},
      heading('Configuration'),
      h('p', { class: 'muted' }, 'As the server was started with it. “…” stands for what is not shown.'),
      h('div', { class: 'filter' }, field('Search', search)),
      load.problem,
      none,
      table.element,
    ),
    stop: load.stop,
  };
}
