/** History: how much is kept, and what of one channel. */

import { channelPath, get, query } from './api.js';
import { bytes, empty, failure, field, fill, foreign, h, heading, number } from './dom.js';
import { Table, loading } from './table.js';

const SIZE = 50;

export function kept([name]) {
  const totals = h('dl', { class: 'totals' });
  const none = empty('No channel has history: no [[channel]] of the configuration sets it.');
  const failing = h('div', {});
  const card = h('section', { class: 'card' }, totals);
  const load = loading(async (signal) => {
    const now = await get('/history', signal);
    return () => {
      none.hidden = now.kept;
      card.hidden = !now.kept;
      form.hidden = !now.kept;
      const figures = [
        ['Messages', number(now.messages)],
        ['Channels', number(now.channels)],
        ['Size', bytes(now.bytes)],
        ['Numbers are of', now.epoch ?? '–'],
      ];
      fill(totals, ...figures.flatMap(([text, value]) => [h('dt', {}, text), h('dd', {}, value)]));
      fill(failing, now.failing !== null && failure(`Nothing can be kept now: ${now.failing}`));
    };
  }, 5);
  const channel = h('input', { name: 'channel', autocomplete: 'off', required: true, placeholder: '/stock/**', value: name ?? '' });
  const form = h(
    'form',
    {
      class: 'filter',
      onsubmit: (event) => {
        event.preventDefault();
        location.hash = `#/history/${encodeURIComponent(channel.value.trim())}`;
      },
    },
    field('Channel or pattern', channel),
    h('button', { type: 'submit' }, 'Show'),
  );
  none.hidden = true;
  card.hidden = true;
  form.hidden = true;
  load.again();
  return {
    element: h('div', {}, heading('History'), load.problem, failing, none, card, form, name && messages(name)),
    stop: load.stop,
  };
}

/** What is kept of a channel, from the oldest on, page by page. */
function messages(name) {
  const told = h('p', { class: 'muted', role: 'status' }, 'Reading…');
  const table = new Table(
    'Messages that are kept',
    [
      { name: 'Number', isNumber: true, cell: (row) => String(row.id) },
      { name: 'When', cell: (row) => row.at.slice(0, 23).replace('T', ' ') },
      { name: 'Channel', cell: (row) => h('span', { class: 'code' }, foreign(row.channel)) },
      { name: 'Data', cell: (row) => h('span', { class: 'code' }, foreign(JSON.stringify(row.data), 300)) },
    ],
    (row) => String(row.id),
  );
  const more = h('button', { type: 'button', hidden: true, onclick: () => read() }, 'Show more');
  const problem = h('div', {});
  let after;
  let shown = [];

  async function read() {
    try {
      const ends = await get(`/history${query({ channel: name })}`);
      const part = await get(`/history/${channelPath(name.replace(/^\//, ''))}${query({ after, limit: SIZE })}`);
      shown = [...shown, ...part.messages];
      after = part.next;
      table.show(shown);
      more.hidden = part.end;
      told.textContent = ends.first === null
        ? 'Nothing is kept of it.'
        : `From number ${ends.first} to ${ends.last}; ${number(shown.length)} are shown.`;
      table.element.hidden = shown.length === 0;
      fill(problem);
    } catch (error) {
      told.textContent = '';
      fill(problem, failure(error.message));
    }
  }

  table.element.hidden = true;
  read();
  return h('section', {}, told, problem, table.element, more);
}
