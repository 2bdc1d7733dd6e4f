/** The messages of a channel, or of one session, as they come. */

import { channelPath, follow } from './api.js';
import { clock, field, fill, foreign, h, heading, number } from './dom.js';

/** So many are shown at once, and so often, in milliseconds. */
const MOST = 200;
const OFTEN = 200;

const KINDS = { published: 'published', delivered: '← delivered', sent: '→ sent' };

export function watch([kind, name]) {
  const channel = h('input', {
    name: 'channel', autocomplete: 'off', required: true, placeholder: '/chat/**', value: kind === 'channel' ? name : '',
  });
  const session = h('input', {
    name: 'session', autocomplete: 'off', required: true, value: kind === 'session' ? name : '',
  });
  const form = (label, control, path) =>
    h(
      'form',
      {
        class: 'filter',
        onsubmit: (event) => {
          event.preventDefault();
          location.hash = `#/watch/${path}/${encodeURIComponent(control.value.trim())}`;
        },
      },
      field(label, control),
      h('button', { type: 'submit' }, 'Watch'),
    );
  const forms = h(
    'div',
    { class: 'forms' },
    form('Channel or pattern', channel, 'channel'),
    form('Session', session, 'session'),
  );
  if (!name) return { element: h('div', {}, heading('Watch'), forms) };
  const log = new Log();
  const path = kind === 'session'
    ? `/sessions/${encodeURIComponent(name)}/watch`
    : `/watch/${channelPath(name.replace(/^\//, ''))}`;
  const aborter = new AbortController();
  follow(path, (event, data) => {
    if (event === 'ended') {
      log.tell('The session has ended.');
      aborter.abort();
    } else if (event === 'missed') log.missed(data.missed);
    else log.add(event, data);
  }, (state, why) => log.state(state, why), aborter.signal);
  const about = kind === 'session' ? 'What the session is given, and what it publishes itself: ' : 'What is published on ';
  return {
    element: h(
      'div',
      {},
      heading('Watch', log.pausing, log.clearing),
      forms,
      h('p', {}, about, h('span', { class: 'code' }, foreign(name))),
      log.element,
    ),
    stop: () => {
      aborter.abort();
      log.stop();
    },
  };
}

/** The newest first, and so many at most. */
class Log {
  #waiting = [];
  #count = 0;
  #missed = 0;
  #isPaused = false;
  #list = h('ol', { class: 'log', 'aria-label': 'Messages, the newest first' });
  #told = h('p', { class: 'muted', role: 'status' }, 'Connecting…');
  #lost = h('p', { class: 'failure', hidden: true });
  #timer = setInterval(() => this.#show(), OFTEN);
  pausing = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => this.#pause() }, 'Pause');
  clearing = h('button', { type: 'button', onclick: () => this.#clear() }, 'Clear');
  element = h('div', {}, this.#told, this.#lost, this.#list);

  add(kind, message) {
    this.#count += 1;
    this.#waiting.push({ kind, message, at: Date.now() });
    if (this.#waiting.length > MOST) this.#waiting.shift();
  }

  missed(count) {
    this.#missed += count;
    this.#lost.hidden = false;
    this.#lost.textContent = `⚠ ${number(this.#missed)} messages are missing here: more came than this page could read.`;
  }

  tell(text) {
    this.#show();
    clearInterval(this.#timer);
    this.#told.textContent = text;
  }

  state(state, why) {
    if (state === 'open') this.#told.textContent = 'Nothing has come yet.';
    if (state === 'lost') this.#told.textContent = '⚠ The connection was lost. Trying again…';
    if (state === 'refused') this.#told.textContent = `⚠ ${why.message}`;
  }

  stop() {
    clearInterval(this.#timer);
  }

  #show() {
    if (this.#isPaused || this.#waiting.length === 0) return;
    const entries = this.#waiting.splice(0).reverse();
    this.#list.prepend(...entries.map(entry));
    while (this.#list.childElementCount > MOST) this.#list.lastElementChild.remove();
    const shown = this.#list.childElementCount;
    this.#told.textContent = `${number(this.#count)} messages, of which the newest ${shown} are shown.`;
  }

  #pause() {
    this.#isPaused = !this.#isPaused;
    this.pausing.textContent = this.#isPaused ? 'Go on' : 'Pause';
    this.pausing.setAttribute('aria-pressed', String(this.#isPaused));
  }

  #clear() {
    this.#waiting = [];
    this.#count = 0;
    this.#missed = 0;
    this.#lost.hidden = true;
    fill(this.#list);
    this.#told.textContent = 'Nothing has come since.';
  }
}

function entry({ kind, message, at }) {
  const { channel, data, ...others } = message;
  const more = Object.keys(others).length > 0 && h('pre', { class: 'more' }, foreign(JSON.stringify(others)));
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'line' },
      h('time', { class: 'muted' }, clock(at)),
      h('span', { class: 'tag' }, KINDS[kind] ?? kind),
      h('span', { class: 'code' }, foreign(channel)),
    ),
    h('pre', {}, foreign(JSON.stringify(data))),
    more,
  );
}
