/** A message for a channel, or for exactly one session. */

import { post } from './api.js';
import { failure, field, fill, foreign, h, heading, number } from './dom.js';

export function publish([kind, name]) {
  const isForSession = kind === 'session';
  const radio = (value, text, isChosen) =>
    h('label', { class: 'choice' }, h('input', { type: 'radio', name: 'to', value, checked: isChosen, onchange: choose }), text);
  const session = h('input', { name: 'session', autocomplete: 'off', value: isForSession ? name : '' });
  const channel = h('input', {
    name: 'channel', autocomplete: 'off', required: true, placeholder: '/chat/1', value: kind === 'channel' ? name : '',
  });
  const data = h('textarea', { name: 'data', rows: '5', required: true, spellcheck: 'false', value: '{"test": true}' });
  const one = field('Session', session, 'Its name, as the list of sessions shows it.');
  const result = h('div', { 'aria-live': 'polite' });
  const choices = h(
    'fieldset',
    {},
    h('legend', {}, 'For whom'),
    radio('channel', 'All subscribers of a channel', !isForSession),
    radio('session', 'One session', isForSession),
  );
  const chosen = () => form.elements.to.value;
  const form = h(
    'form',
    { class: 'card form', onsubmit: send },
    choices,
    one,
    field('Channel', channel),
    field('Data', data, 'JSON: a text stands in quotes.'),
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Send')),
    result,
  );

  function choose() {
    one.hidden = chosen() !== 'session';
    session.required = !one.hidden;
  }

  async function send(event) {
    event.preventDefault();
    try {
      JSON.parse(data.value);
    } catch {
      fill(result, failure('The data is not JSON. A text has to stand in quotes.'));
      data.focus();
      return;
    }
    const to = chosen() === 'session' ? { session: session.value.trim() } : {};
    const fields = Object.entries({ ...to, channel: channel.value.trim() });
    const parts = fields.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    try {
      // As it was typed: a number may have more digits than a script can hold.
      const receipt = await post(to.session === undefined ? '/publish' : '/deliver', `{${parts.join(',')},"data":${data.value}}`);
      fill(result, receiptOf(receipt));
    } catch (error) {
      fill(result, failure(error.message));
    }
  }

  choose();
  return { element: h('div', {}, heading('Publish'), form) };
}

function receiptOf(receipt) {
  const count = receipt.receivers ?? receipt.sessions;
  const dropped = receipt.dropped ? ` ${number(receipt.dropped)} had no room for it.` : '';
  const kept = receipt.persisted ? ` It is kept, as number ${receipt.id}.` : '';
  const sessions = count === 1 ? '1 session' : `${number(count)} sessions`;
  return h('p', { class: 'success' }, '✓ Sent to ', sessions, '.', dropped, kept, receipt.channel && [' ', foreign(receipt.channel)]);
}
