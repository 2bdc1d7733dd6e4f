/** The page: it shows one section at a time to whoever has logged in. */

import { Refused, follow, get, key, remove } from './api.js';
import { channels, cluster } from './channels.js';
import { configuration } from './configuration.js';
import { fill, foreign, h } from './dom.js';
import { kept } from './kept.js';
import { prompt } from './login.js';
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

/** Asks who it is. */
function ask(problem) {
  document.title = 'Mirant';
  prompt(app, start, problem);
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
  const hasKey = key.get() !== null;
  const leave = h('button', { type: 'button', class: 'small', onclick: () => logout() }, hasKey ? 'Forget the key' : 'Log out');
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
        h('span', { class: 'who' }, hasKey ? 'Key ' : 'User ', foreign(known.name, 40)),
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
    ask(why);
  }

  async function logout() {
    try {
      if (!hasKey) await remove('/login');
      end();
    } catch (error) {
      end(`You are still logged in: ${error.message}`);
    }
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
  try {
    const isKnown = key.get() !== null || (await get('/login')).user !== null;
    if (!isKnown) return ask();
    start(await get('/key'));
  } catch (error) {
    if (error instanceof Refused && error.status === 401) key.forget();
    ask(error.message);
  }
}

begin();
