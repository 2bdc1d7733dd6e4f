/**
 * What the demonstrations share: the bar with the way to the others, the menu of transports, the state of the
 * connection in words, and the panel of what goes over the wire. Each demonstration is then only its own idea.
 */
import { catchUpAll, pauseAll } from './history.js';
import { Mover, TRANSPORTS, plugIn } from './transports.js';
import { Wire } from './wire.js';

export const DEMOS = [
  ['/demo/chat', 'Chat', 'Rooms, who is there, and what was said before you came.'],
  ['/demo/ticker', 'Ticker', 'A hundred made-up prices, of which who is slow gets the newest.'],
  ['/demo/drawing', 'Drawing', 'One sheet for everybody who is here, with the pointers of the others.'],
  ['/demo/tennis', 'Tennis', 'Comet tennis for two browsers, with as many spectators as like to watch.'],
  ['/demo/http', 'Plain HTTP', 'Channels as resources, waiting for changes, streams: without any library.'],
];

const STAR = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 1l2.6 7.4L22 11l-7.4 2.6L12 23l-2.6-9.4L2 11l7.4-2.6z"/></svg>';
/** The transport that this tab had last. */
const KEPT = 'mirant-demo-transport';

/** Where the Bayeux endpoint is, as the page says. */
export const endpoint = document.documentElement.dataset.bayeux;

/** Puts the bar above the page, which leads to the other demonstrations; returns it. */
export function nav() {
  const bar = document.createElement('header');
  bar.className = 'bar';
  bar.innerHTML = `<a class="brand" href="/">${STAR} Mirant</a><nav aria-label="Demonstrations"></nav>`;
  for (const [path, name] of DEMOS) {
    const link = document.createElement('a');
    link.href = path;
    link.textContent = name;
    if (path === location.pathname) link.setAttribute('aria-current', 'page');
    bar.querySelector('nav').append(link);
  }
  document.body.prepend(bar);
  return bar;
}

/**
 * Begins a demonstration whose page is in `<div class="stage"><main>…</main></div>`: adds what is shared, loads the
 * official client, and keeps a session.
 *
 * @param {object} demo
 * @param {(cometd) => void} demo.onSession a session has begun, the first or another after it; to subscribe
 * @param {(isConnected: boolean) => void} [demo.onState] whether messages can be sent now
 * @param {() => { channel: string, data: object }[]} [demo.onLeave] what is published when the page goes away
 * @returns {Promise<Shell>} once the client is there; never if it cannot be loaded, which the page says
 */
export async function start(demo) {
  const shell = new Shell(demo);
  await shell.load();
  return shell;
}

class Shell {
  /** The client, an object `CometD`. */
  cometd;
  #demo;
  #wire = new Wire();
  #mover;
  #menu;
  #state;
  #problem;
  #hasBeenConnected = false;
  /** Whether what the demonstration follows has to catch up once messages arrive again. */
  #mayHaveMissed = false;

  constructor(demo) {
    this.#demo = demo;
    const strip = document.createElement('div');
    strip.className = 'connection';
    strip.innerHTML = '<label>Transport<select></select></label><span class="state" role="status">loading the client</span>';
    this.#menu = strip.querySelector('select');
    this.#state = strip.querySelector('.state');
    this.#menu.append(...TRANSPORTS.map(({ type, name }) => new Option(name, type)));
    const kept = sessionStorage.getItem(KEPT);
    this.#menu.value = TRANSPORTS.some(({ type }) => type === kept) ? kept : 'websocket';
    this.#menu.addEventListener('change', () => this.moveTo(this.#menu.value));
    this.#problem = document.createElement('p');
    this.#problem.className = 'problem';
    this.#problem.setAttribute('role', 'alert');
    nav().append(strip, this.#problem);
    const stage = document.querySelector('.stage');
    stage.classList.add('with-wire');
    stage.append(this.#wire.element);
  }

  async load() {
    let client;
    try {
      client = await import('./cometd.js');
      if (!client.CometD || !client.LongPollingTransport) throw new Error('it is older than version 9');
    } catch (error) {
      this.#complain(error);
      await new Promise(() => {});
    }
    const cometd = new client.CometD();
    this.cometd = cometd;
    this.#wire.watch(cometd);
    await plugIn(cometd, client);
    cometd.configure({ url: location.origin + endpoint, logLevel: 'warn', backoffIncrement: 500, maxBackoff: 5000 });
    this.#mover = new Mover(cometd, this.#menu.value);
    this.#listen();
    this.#leave();
    this.#become('connecting');
    this.#explain();
    cometd.handshake();
  }

  /** The connection type that is used or moved to. */
  get transport() {
    return this.#mover.wanted;
  }

  /** Goes on by another transport; the session stays the same if both ends can keep it. */
  moveTo(type) {
    if (type === this.transport && this.#mover.hasArrived) return;
    sessionStorage.setItem(KEPT, type);
    this.#menu.value = type;
    this.#wire.note(`on to ${nameOf(type)}`);
    if (this.cometd.isDisconnected()) {
      this.#mover.moveTo(type);
      this.cometd.handshake();
      this.#become('connecting');
    } else {
      this.#mover.moveTo(type);
      this.#become('moving');
    }
    this.#explain();
  }

  /** Says something that went wrong, or with an empty text that nothing does. */
  problem(text) {
    this.#problem.textContent = text;
  }

  #listen() {
    const { cometd } = this;
    cometd.addListener('/meta/handshake', (reply) => this.#greeted(reply));
    cometd.addListener('/meta/connect', ({ successful, error }) => {
      if (successful) {
        this.#hasBeenConnected = true;
        this.#become(this.#mover.hasArrived ? 'connected' : 'moving');
        if (this.#mover.hasArrived) this.problem('');
      } else {
        this.#become(this.#mover.hasArrived ? 'away' : 'moving', error);
        this.#seeWhetherOver();
      }
    });
    cometd.addListener('/meta/unsuccessful', ({ channel, error, failure }) => {
      if (/^\/meta\/(connect|handshake|disconnect)$/.test(channel)) return;
      this.problem(`${channel}: ${error ?? `perhaps not sent (${failure?.reason || 'the connection was lost'})`}`);
    });
  }

  #greeted({ successful, clientId, supportedConnectionTypes, error, failure }) {
    if (successful) {
      this.#wire.note(`session ${clientId.slice(0, 8)}… has begun`);
      this.#mayHaveMissed = false;
      for (const option of this.#menu.options) option.disabled = !supportedConnectionTypes.includes(option.value);
      this.#demo.onSession(this.cometd);
      return;
    }
    this.#become('away', error);
    if (failure && this.transport === 'websocket' && !this.#hasBeenConnected) {
      // Something on the way does not let WebSockets through, or nothing is there. Polls get through wherever pages do.
      this.#menu.value = 'long-polling';
      this.#mover.moveTo('long-polling');
      this.#explain();
    }
    this.#seeWhetherOver();
  }

  /** The client gives up without a word. */
  #seeWhetherOver() {
    setTimeout(() => {
      if (this.cometd.isDisconnected()) this.#become('stopped');
    });
  }

  #become(state, why) {
    const name = nameOf(this.#mover.wanted);
    const words = {
      connecting: `connecting by ${name}`,
      connected: `connected by ${name}`,
      moving: `moving to ${name}`,
      away: 'not connected, trying again',
      stopped: 'not connected; choose a transport to try again',
    };
    const text = words[state] + (state === 'away' && why ? ` (${why})` : '');
    if (this.#state.textContent !== text) this.#state.textContent = text;
    this.#state.className = `state ${state}`;
    if (state === 'moving' || state === 'away') {
      this.#mayHaveMissed = true;
      pauseAll();
    } else if (state === 'connected' && this.#mayHaveMissed) {
      this.#mayHaveMissed = false;
      catchUpAll();
    }
    this.#demo.onState?.(state === 'connected');
  }

  #explain() {
    this.#wire.explain(TRANSPORTS.find(({ type }) => type === this.transport).how);
  }

  /** Ends the session when the page goes away, so that others need not wait for it to expire. */
  #leave() {
    addEventListener('pagehide', () => {
      const clientId = this.cometd.getClientId();
      if (!clientId) return;
      const last = [...(this.#demo.onLeave?.() ?? []), { channel: '/meta/disconnect' }];
      fetch(endpoint, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(last.map((message, index) => ({ ...message, clientId, id: `last-${index}` }))),
        keepalive: true,
      }).catch(() => {});
    });
    // A page that the browser kept and shows again has no session any more.
    addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
  }

  #complain(error) {
    this.#state.textContent = 'the client is missing';
    this.#state.className = 'state stopped';
    const notice = document.createElement('div');
    notice.className = 'notice card';
    notice.setAttribute('role', 'alert');
    notice.innerHTML = `<p><strong>The CometD client could not be loaded.</strong></p>
      <p>This page uses the official client, which is not part of Mirant: the server hands out the copy in
      <code>node_modules</code> below the folder in which it was started, or else leads to a public one on the web.
      Where the server was started, run</p><pre>npm install cometd</pre><p>and reload this page. <span class="faint"></span></p>`;
    notice.querySelector('.faint').textContent = `(${error.message})`;
    document.querySelector('.stage').prepend(notice);
  }
}

const nameOf = (type) => TRANSPORTS.find((transport) => transport.type === type).name;
