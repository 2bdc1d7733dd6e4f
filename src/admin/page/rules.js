/** Which access rule would decide. */

import { post } from './api.js';
import { empty, failure, field, fill, foreign, h, heading } from './dom.js';
import { Table } from './table.js';

const ACTIONS = ['subscribe', 'publish', 'handshake', 'forget'];

const listed = (text) => text.split(',').map((item) => item.trim()).filter(Boolean);

export function rules() {
  const action = h('select', { name: 'action', onchange: () => choose() }, ...ACTIONS.map((name) => h('option', {}, name)));
  const channel = h('input', { name: 'channel', autocomplete: 'off', placeholder: '/chat/**' });
  const user = h('input', { name: 'user', autocomplete: 'off' });
  const roles = h('input', { name: 'roles', autocomplete: 'off' });
  const claims = h('input', { name: 'claims', autocomplete: 'off', placeholder: 'tenant=t1' });
  const address = h('input', { name: 'address', autocomplete: 'off', placeholder: '192.0.2.7' });
  const onChannel = field('Channel', channel);
  const result = h('div', { 'aria-live': 'polite' });
  const form = h(
    'form',
    { class: 'card form grid', onsubmit: ask },
    field('Action', action),
    onChannel,
    field('User', user, 'Empty: a client that has not shown who it is.'),
    field('Roles', roles, 'With commas between them.'),
    field('Claims', claims, 'As name=value, with commas between them.'),
    field('Address', address),
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Explain')),
  );

  function choose() {
    onChannel.hidden = action.value === 'handshake';
  }

  async function ask(event) {
    event.preventDefault();
    const question = {
      action: action.value,
      channel: onChannel.hidden ? undefined : channel.value.trim(),
      user: user.value || undefined,
      roles: listed(roles.value),
      claims: listed(claims.value).map((claim) => {
        const at = claim.indexOf('=');
        return at < 0 ? [claim, ''] : [claim.slice(0, at), claim.slice(at + 1)];
      }),
      address: address.value.trim() || undefined,
    };
    try {
      fill(result, explained(await post('/explain', JSON.stringify(question))));
    } catch (error) {
      fill(result, failure(error.message));
    }
  }

  return { element: h('div', {}, heading('Access rules'), form, result) };
}

function explained(found) {
  const table = new Table(
    'Rules that were looked at',
    [
      { name: 'Entry', cell: (row) => `access[${row.number}]` },
      { name: 'Says', cell: (row) => (row.decides ? `→ ${row.says}` : row.says) },
      { name: 'Rule', cell: (row) => h('span', { class: 'code' }, foreign(text(row.rule))) },
    ],
    (row) => String(row.number),
  );
  table.show(found.rules);
  return h(
    'section',
    { class: 'card' },
    h('p', { class: found.allowed ? 'success' : 'failure' }, found.allowed ? '✓ Allowed' : '✗ Refused'),
    h('p', {}, foreign(found.verdict)),
    found.webhook && h('p', { class: 'muted' }, 'The webhook decides as well, and is not asked here.'),
    found.rules.length ? table.element : empty('No rule was looked at.'),
  );
}

/** A rule in short: what is unset is left out. */
function text(rule) {
  const isSet = ([, value]) => value !== null && !(Array.isArray(value) && value.length === 0);
  return JSON.stringify(Object.fromEntries(Object.entries(rule).filter(isSet)));
}
