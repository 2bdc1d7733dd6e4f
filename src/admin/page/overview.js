/** What happens on the server, second by second. */

import { Chart } from './chart.js';
import { bytes, fill, h, heading, milliseconds, number } from './dom.js';
import { Table } from './table.js';

const rate = (value) => `${number(value)}/s`;

const TRANSPORTS = {
  held_polls: 'Held polls',
  websockets: 'WebSockets',
  event_streams: 'Event streams',
  streamed_connects: 'Streamed connects',
  message_streams: 'message/http',
};

export function overview(_, { figures }) {
  const charts = [
    new Chart('Sessions', number, [{ value: (now) => now.sessions }]),
    new Chart('Connections', number, [{ value: (now) => now.connections }]),
    new Chart('Messages', rate, [
      { name: 'in', value: (now) => now.published.rate },
      { name: 'out', value: (now) => now.delivered.rate },
    ]),
    new Chart('Publish to queues', milliseconds, [
      { name: 'median', value: (now) => now.latency.p50 },
      { name: '99 %', value: (now) => now.latency.p99 },
    ]),
    new Chart('Dropped', rate, [{ value: (now) => now.dropped.rate }]),
    new Chart('Memory', bytes, [{ value: (now) => now.memory.used }]),
  ];
  const totals = h('dl', { class: 'totals' });
  const transports = new Table(
    'Connections by transport',
    [
      { name: 'Transport', cell: (row) => row.name },
      { name: 'Open', isNumber: true, cell: (row) => number(row.count) },
    ],
    (row) => row.name,
  );
  const kinds = new Table(
    'Memory by kind',
    [
      { name: 'What for', cell: (row) => row.name },
      { name: 'Bytes', isNumber: true, cell: (row) => bytes(row.count) },
    ],
    (row) => row.name,
  );
  const meter = h('meter', { min: '0', max: '1', low: '0.75', high: '0.875', optimum: '0', 'aria-label': 'Memory used' });
  const used = h('p', { class: 'muted' });
  const waiting = h('p', { class: 'empty' }, 'Waiting for the first figures…');
  const content = h(
    'div',
    { hidden: true },
    h('div', { class: 'charts' }, ...charts.map((chart) => chart.element)),
    h(
      'div',
      { class: 'columns' },
      h('section', { class: 'card' }, h('h2', {}, 'By transport'), transports.element),
      h('section', { class: 'card' }, h('h2', {}, 'Since the start'), totals),
      h('section', { class: 'card' }, h('h2', {}, 'Memory'), meter, used, kinds.element),
    ),
  );

  const show = () => {
    const { past, now } = figures;
    if (!now) return;
    waiting.hidden = true;
    content.hidden = false;
    for (const chart of charts) chart.show(past, now);
    transports.show(
      Object.entries(TRANSPORTS).map(([name, shown]) => ({ name: shown, count: now.transports[name] })),
    );
    const entries = [
      ['Messages in', number(now.published.total)],
      ['Messages out', number(now.delivered.total)],
      ['Dropped', number(now.dropped.total)],
      ['Handshakes', number(now.handshakes.total)],
      ['Channels with subscribers', number(now.channels)],
      ['Queues take', bytes(now.queued_bytes)],
    ];
    fill(totals, ...entries.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
    const { memory } = now;
    meter.value = memory.budget ? memory.used / memory.budget : 0;
    const share = memory.budget ? Math.round((memory.used / memory.budget) * 100) : 0;
    used.textContent = `${bytes(memory.used)} of ${bytes(memory.budget)} (${share} %); ${bytes(memory.allocated)} allocated`;
    const rows = Object.entries(memory.kinds).map(([name, count]) => ({ name, count }));
    kinds.show(rows.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1)));
  };
  const stop = figures.watch(show);
  show();
  const whose = h('p', { class: 'muted' }, 'Of this server. In a cluster each node has its own figures.');
  return { element: h('div', {}, heading('Overview'), whose, waiting, content), stop };
}
