/** Channels and patterns with subscribers, and the nodes of a cluster. */

import { get, query } from './api.js';
import { clock, empty, field, foreign, h, heading, number } from './dom.js';
import { Pages, Table, loading } from './table.js';

const SIZE = 50;

export function channels() {
  const pattern = h('input', { type: 'search', name: 'pattern', autocomplete: 'off', placeholder: '/chat/**' });
  const told = h('p', { class: 'muted', role: 'status' });
  const none = empty('Nobody is subscribed to a channel like this.');
  const table = new Table(
    'Channels and patterns with subscribers',
    [
      { name: 'Channel', isStill: true, cell: (row) => h('span', { class: 'code' }, foreign(row.channel)) },
      { name: 'Subscribers', isNumber: true, cell: (row) => number(row.subscribers) },
      { name: 'Messages/s', isNumber: true, cell: (row) => number(row.rate) },
      {
        name: 'Actions',
        isStill: true,
        cell: (row) => {
          const to = encodeURIComponent(row.channel);
          const link = (text, href) =>
            h('a', { class: 'button small', href, 'aria-label': `${text} ${row.channel}` }, text);
          return h(
            'span',
            { class: 'buttons' },
            link('Watch', `#/watch/channel/${to}`),
            !row.channel.includes('*') && link('Publish', `#/publish/channel/${to}`),
          );
        },
      },
    ],
    (row) => row.channel,
  );
  const pages = new Pages(() => load.again());
  const load = loading(async (signal) => {
    const page = await get(`/channels${query({ pattern: pattern.value, after: pages.after, limit: SIZE })}`, signal);
    return () => {
      table.show(page.channels);
      table.element.hidden = page.channels.length === 0;
      none.hidden = page.channels.length > 0;
      pages.show(page.next);
      told.textContent = `${page.channels.length} shown, as of ${clock(Date.now())}`;
    };
  }, 5);
  const filter = h(
    'form',
    {
      class: 'filter',
      onsubmit: (event) => {
        event.preventDefault();
        pages.reset();
        load.again();
      },
    },
    field('Covered by', pattern),
    h('button', { type: 'submit' }, 'Filter'),
  );
  none.hidden = true;
  load.again();
  return {
    element: h('div', {}, heading('Channels'), filter, load.problem, told, table.element, none, pages.element),
    stop: load.stop,
  };
}

export function cluster() {
  const table = new Table(
    'Nodes of the cluster',
    [
      { name: 'Node', cell: (row) => (row.here ? `${row.node} (this one)` : row.node) },
      { name: 'Address', cell: (row) => foreign(row.address) },
      { name: 'State', cell: (row) => (row.state === 'ready' ? '● ready' : '○ leaving') },
      { name: 'Version', cell: (row) => foreign(row.version) },
    ],
    (row) => row.node,
  );
  const alone = empty('This server is no node of a cluster: [cluster] is not configured.');
  const away = h('p', { class: 'failure', hidden: true }, '⚠ The Redis of the cluster is away.');
  const load = loading(async (signal) => {
    const now = await get('/nodes', signal);
    return () => {
      alone.hidden = now.clustered;
      table.element.hidden = !now.clustered;
      away.hidden = !now.clustered || now.up;
      table.show(now.nodes);
    };
  }, 5);
  alone.hidden = true;
  table.element.hidden = true;
  load.again();
  return {
    element: h('div', {}, heading('Cluster'), load.problem, away, alone, table.element),
    stop: load.stop,
  };
}
