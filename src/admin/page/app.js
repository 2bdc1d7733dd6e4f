/** The page: it asks for a key, and then shows one section at a time. */

import { Refused, follow, get, key } from './api.js';
import { channels, cluster } from './channels.js';
import { configuration } from './configuration.js';
import { failure, field, fill, foreign, h } from './dom.js';
import { kept } from './kept.js';
import { overview } from './overview.js';
import { publish } from './publish.js';
import { rules } from './rules.js';
import { session, sessions } from './sessions.js';
import { watch } from './watch.js';

const SECTIONS = {
  overview: ['Overview', overview],
  sessions: ['Sessions', (parts, context) => (parts.length ? session : sessions)(parts, context)],
  channels: ['Channels', channels],
  watch: ['Watch', watch],
  publish: ['Publish', publish],
  rules: ['Access rules', rules],
  history: ['History', kept],
  cluster: ['Cluster', cluster],
  configuration: ['Configuration', configuration],
};

const app = document.getElementById('app');

/** The figures of the last quarter of an hour, each of ten seconds, and the last. */
class Figures {
  past = [];
  now = null;
  #pending = [];
  #watchers = new Set();

  watch(told) {
    this.#watchers.add(told);
    return () => this.#watchers.delete(told);
  }

  take(name, data) {
    if (name === 'past') {
      this.past = data;
      this.#pending = [];
      this.now = data.at(-1) ?? this.now;
    } else if (name === 'figures') {
      this.now = data;
      this.#pending.push(data);
      if (this.#pending.length >= 10) {
        this.past = [...this.past, mean(this.#pending)].slice(-90);
        this.#pending = [];
      }
    }
    for (const told of this.#watchers) told();
  }
}

/** The last of some figures, with the rates of all of them. */
function mean(all) {
  const last = structuredClone(all.at(-1));
  for (const flow of ['published', 'delivered', 'dropped', 'handshakes']) {
    last[flow].rate = all.reduce((sum, figures) => sum + figures[flow].rate, 0) / all.length;
  }
  const worst = (part) => Math.max(...all.map((figures) => figures.latency[part] ?? 0)) || null;
  last.latency = { ...last.latency, p50: worst('p50'), p99: worst('p99') };
  return last;
}

function prompt(problem) {
  document.title = 'Mirant';
  const input = h('input', { type: 'password', name: 'key', autocomplete: 'off', required: true, spellcheck: 'false' });
  const told = h('div', {}, problem && failure(problem));
  const button = h('button', { type: 'submit', class: 'primary' }, 'Open');
  const open = async (event) => {
    event.preventDefault();
    button.disabled = true;
    key.set(input.value.trim());
    try {
      start(await get('/key'));
    } catch (error) {
      key.forget();
      button.disabled = false;
      fill(told, failure(error.message));
      input.focus();
    }
  };
  fill(
    app,
    h(
      'main',
      { class: 'prompt' },
      h('h1', {}, 'Mirant'),
      h('form', { class: 'card form', onsubmit: open }, field('Key of the HTTP API', input, 'It is kept until this tab is closed.'), told, button),
      h(
        'details',
        {},
        h('summary', {}, 'Where do I get a key?'),
        h('p', {}, 'This command prints a key, and its hash:'),
        h('pre', { class: 'code' }, 'mirant api-key'),
        h('p', {}, 'Put the hash into the configuration of the server, and start it again. "admin" allows all that there is here; a key with "read" shows figures and channels only.'),
        h('pre', { class: 'code' }, '[[api.key]]\nname = "operator"\nhash = "sha256:…"\nallow = ["admin"]'),
      ),
    ),
  );
  input.focus();
}

function start(known) {
  const figures = new Figures();
  const status = h('span', { class: 'status', role: 'status' });
  const lost = h('p', { class: 'lost', role: 'alert', hidden: true });
  const main = h('main', { id: 'main' });
  const links = new Map(
    Object.entries(SECTIONS).map(([name, [title]]) => [name, h('a', { href: `#/${name}` }, title)]),
  );
  const nav = h('nav', { 'aria-label': 'Sections' }, h('ul', {}, ...[...links.values()].map((link) => h('li', {}, link))));
  const skip = h('button', { type: 'button', class: 'skip', onclick: () => main.querySelector('h1')?.focus() }, 'Skip to the content');
  const leave = h('button', { type: 'button', class: 'small', onclick: () => end() }, 'Forget the key');
  fill(
    app,
    h(
      'div',
      { class: 'layout' },
      h(
        'header',
        {},
        skip,
        h('strong', { class: 'brand' }, 'Mirant ', h('small', {}, known.version)),
        status,
        h('span', { class: 'who' }, 'Key ', foreign(known.name, 40)),
        leave,
      ),
      nav,
      h('div', { class: 'content' }, lost, main),
    ),
  );

  let shown;
  const show = (isFirst) => {
    const [name, ...parts] = location.hash.replace(/^#\//, '').split('/').filter(Boolean).map(decoded);
    const section = Object.hasOwn(SECTIONS, name ?? '') ? name : 'overview';
    const [title, view] = SECTIONS[section];
    shown?.stop?.();
    shown = view(parts, { figures, known });
    fill(main, shown.element);
    document.title = `${title} – Mirant`;
    for (const [other, link] of links) {
      if (other === section) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    links.get(section).scrollIntoView({ block: 'nearest', inline: 'nearest' });
    if (!isFirst) main.querySelector('h1')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  };
  const move = () => show(false);
  addEventListener('hashchange', move);

  let aborter;
  const told = (state, why) => {
    main.classList.toggle('stale', state === 'lost');
    lost.hidden = state === 'open';
    if (state === 'open') status.textContent = '● live';
    if (state === 'lost') {
      status.textContent = '○ not connected';
      const reason = why instanceof Refused ? why.message : 'the server does not answer';
      lost.textContent = `⚠ Not connected: ${reason}. What is shown is from before; trying again…`;
    }
    if (state === 'refused') {
      status.textContent = '○ no figures';
      if (why.status === 401) end(why.message);
      else lost.textContent = `⚠ There are no live figures: ${why.message}`;
    }
  };
  // A tab that nobody looks at takes no connection.
  const attend = () => {
    aborter?.abort();
    if (document.hidden) return;
    aborter = new AbortController();
    follow('/figures', (name, data) => figures.take(name, data), told, aborter.signal);
  };
  document.addEventListener('visibilitychange', attend);

  function end(why) {
    aborter?.abort();
    shown?.stop?.();
    removeEventListener('hashchange', move);
    document.removeEventListener('visibilitychange', attend);
    key.forget();
    prompt(why);
  }

  show(true);
  attend();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function begin() {
  if (key.get() === null) return prompt();
  try {
    start(await get('/key'));
  } catch (error) {
    if (error instanceof Refused && error.status === 401) key.forget();
    prompt(error.message);
  }
}

begin();
