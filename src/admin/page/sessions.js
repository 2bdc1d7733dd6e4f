/** Sessions: which there are, what is known of one, and its end. */

import { get, query, remove } from './api.js';
import { age, clock, confirmed, empty, field, fill, foreign, h, heading, number } from './dom.js';
import { Pages, Table, loading } from './table.js';

const TRANSPORTS = [
  'long-polling', 'callback-polling', 'websocket', 'eventsource', 'forever-frame', 'multipart', 'xhr-streaming',
  'message-http',
];
const SIZE = 50;

export const sessionLink = (session) =>
  h('a', { href: `#/sessions/${encodeURIComponent(session)}`, class: 'code', title: session }, session);

/** Ends a session, if that is meant. */
async function end(session, user, done) {
  const whose = user ? ['It is a session of ', foreign(user, 80), '. '] : 'Its client has no user. ';
  const detail = [whose, 'The client is told, and may come back with a new session.'].flat();
  if (!(await confirmed('End this session?', detail, 'End session'))) return;
  let failure;
  try {
    await remove(`/sessions/${encodeURIComponent(session)}`);
  } catch (error) {
    failure = error;
  }
  done(failure);
}

export function sessions() {
  const user = h('input', { type: 'search', name: 'user', autocomplete: 'off' });
  const transport = h(
    'select',
    { name: 'transport' },
    h('option', { value: '' }, 'any'),
    ...TRANSPORTS.map((name) => h('option', { value: name }, name)),
  );
  const address = h('input', { type: 'search', name: 'address', autocomplete: 'off', placeholder: '10.0.0.0/8' });
  const told = h('p', { class: 'muted', role: 'status' });
  const none = empty('No session is like this.');
  const table = new Table(
    'Sessions',
    [
      { name: 'Session', isStill: true, cell: (row) => sessionLink(row.session) },
      { name: 'User', cell: (row) => (row.user === null ? h('span', { class: 'muted' }, 'none') : foreign(row.user, 80)) },
      { name: 'Transport', cell: (row) => row.transport ?? '–' },
      { name: 'Address', cell: (row) => row.address ?? '–' },
      { name: 'Age', isNumber: true, cell: (row) => age(row.since) },
      { name: 'Last heard', isNumber: true, cell: (row) => age(row.last_seen) },
      { name: 'Queued', isNumber: true, cell: (row) => number(row.queued) },
      { name: 'Channels', isNumber: true, cell: (row) => number(row.subscribed) },
      {
        name: 'Actions',
        isStill: true,
        cell: (row) =>
          h('button', {
            type: 'button',
            class: 'small',
            'aria-label': `End session ${row.session}`,
            onclick: () => end(row.session, row.user, (failure) => {
              load.again().then(() => failure && fill(load.problem, h('p', { class: 'failure', role: 'alert' }, '⚠ ', failure.message)));
            }),
          }, 'End'),
      },
    ],
    (row) => row.session,
  );
  const pages = new Pages(() => load.again());
  const load = loading(async (signal) => {
    const asked = { user: user.value, transport: transport.value, address: address.value, after: pages.after, limit: SIZE };
    const page = await get(`/sessions${query(asked)}`, signal);
    return () => {
      table.show(page.sessions);
      table.element.hidden = page.sessions.length === 0;
      none.hidden = page.sessions.length > 0;
      pages.show(page.next);
      told.textContent = `${page.sessions.length} shown, as of ${clock(Date.now())}`;
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
    field('User', user),
    field('Transport', transport),
    field('Address', address),
    h('button', { type: 'submit' }, 'Filter'),
  );
  transport.addEventListener('change', () => filter.requestSubmit());
  none.hidden = true;
  load.again();
  return {
    element: h('div', {}, heading('Sessions'), filter, load.problem, told, table.element, none, pages.element),
    stop: load.stop,
  };
}

export function session([alias]) {
  const details = h('dl', { class: 'details' });
  const subscriptions = h('ul', { class: 'plain' });
  const content = h(
    'div',
    { hidden: true },
    h('section', { class: 'card' }, details),
    h('section', { class: 'card' }, h('h2', {}, 'Subscribed to'), subscriptions),
  );
  let known = null;
  const load = loading(async (signal) => {
    const now = await get(`/sessions/${encodeURIComponent(alias)}`, signal);
    return () => {
      known = now;
      content.hidden = false;
      const entries = [
        ['User', now.user === null ? 'none' : foreign(now.user)],
        ['Roles', now.roles.length ? foreign(now.roles.join(', ')) : 'none'],
        ['Transport', now.transport ?? '–'],
        ['Address', now.address ?? '–'],
        ['Began', `${age(now.since)} ago`],
        ['Last heard', `${age(now.last_seen)} ago`],
        ['Queued', number(now.queued)],
        ['Unacknowledged', number(now.unacknowledged)],
      ];
      fill(details, ...entries.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
      const channels = now.subscriptions.map((channel) =>
        h('li', {}, h('a', { href: `#/watch/channel/${encodeURIComponent(channel)}`, class: 'code' }, foreign(channel))),
      );
      fill(subscriptions, ...(channels.length ? channels : [h('li', { class: 'muted' }, 'Nothing.')]));
    };
  }, 2);
  load.again();
  const ending = h('button', {
    type: 'button',
    class: 'danger',
    onclick: () => end(alias, known?.user, (failure) => {
      if (failure) fill(load.problem, h('p', { class: 'failure', role: 'alert' }, '⚠ ', failure.message));
      else location.hash = '#/sessions';
    }),
  }, 'End session');
  const to = encodeURIComponent(alias);
  return {
    element: h(
      'div',
      {},
      h('p', { class: 'back' }, h('a', { href: '#/sessions' }, '← All sessions')),
      heading(
        'Session',
        h('a', { class: 'button', href: `#/watch/session/${to}` }, 'Watch'),
        h('a', { class: 'button', href: `#/publish/session/${to}` }, 'Send a message'),
        ending,
      ),
      h('p', { class: 'code' }, harmlessAlias(alias)),
      load.problem,
      content,
    ),
    stop: load.stop,
  };
}

const harmlessAlias = (alias) => foreign(alias, 40);
