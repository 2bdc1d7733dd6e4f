/** The page of plain HTTP: requests, each as a line for curl, sent by the page, and with its answer. */
import { copy } from './copy.js';
import { Known } from './known.js';
import { nav } from './shell.js';

const { events, resources, history } = document.documentElement.dataset;
const CHANNEL = '/demo/http/list';
const LIST = resources + CHANNEL;
const LONG_AGO = 'Thu, 01 Jan 1970 00:00:00 GMT';
const LONGEST_ANSWER = 20_000;

/** What the page has last heard of the list. */
const known = new Known();
const line = (number) => JSON.stringify(`line ${number}`);
const nextLine = () => line(known.count + 1);

/** What the page shows: each `request` is made anew when it is shown or sent. */
const STEPS = [
  {
    name: 'Listen to channels',
    text: 'An event stream of channels and patterns: in a page, one line with EventSource.',
    button: 'Open the stream',
    streams: true,
    request: () => ({ path: `${events}?channel=/demo/http/*` }),
  },
  {
    name: 'Listen to a resource',
    text: 'Each change is an HTTP response of its own, inside one long response of the type message/http.',
    button: 'Open the stream',
    streams: true,
    request: () => ({ path: LIST, headers: { Accept: 'message/http', 'When-Modified-After': LONG_AGO } }),
  },
  {
    name: 'Write it',
    text: 'What is put there is published on the channel, too. It answers 201 the first time, then 200.',
    button: 'Put',
    request: () => ({ method: 'PUT', path: LIST, body: `[${line(1)}]` }),
  },
  {
    name: 'Read it',
    text: 'It comes byte for byte as it was published, with its ETag.',
    button: 'Get',
    request: () => ({ path: LIST }),
  },
  {
    name: 'Read it only if it has changed',
    text: 'With the ETag of what one has: 304 as long as that is the latest.',
    button: 'Get',
    request: () => ({ path: LIST, headers: { 'If-None-Match': known.tag ?? '"none yet"' } }),
  },
  {
    name: 'Wait for a change',
    text: 'When-Modified-After is the opposite: the answer is held until there is something newer than what one has.',
    button: 'Wait',
    waits: true,
    request: () => ({ path: LIST, headers: { 'When-Modified-After': known.modified ?? LONG_AGO, ...known.unless } }),
  },
  {
    name: 'Change a part of it',
    text: 'The last bracket gives way to another line. Who waits, and has the rest, gets only this part (206).',
    button: 'Patch',
    request: () => ({
      method: 'PATCH',
      path: LIST,
      headers: { 'Content-Range': known.rangeOfEnd(`,${nextLine()}]`), ...known.ifSame },
      body: `,${nextLine()}]`,
    }),
  },
  {
    name: 'Delete it',
    text: 'From then on it answers 410, to those who wait, too.',
    button: 'Delete',
    request: () => ({ method: 'DELETE', path: LIST }),
  },
  {
    name: 'Read what was published before',
    text: 'The channel has a history as well: the server keeps its last 20 messages.',
    button: 'Get',
    request: () => ({ path: `${history}${CHANNEL}?limit=5` }),
  },
];

/** The line that sends a request from a shell. */
function curl({ method = 'GET', path, headers = {}, body }, streams) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [streams ? 'curl -sN' : 'curl -si'];
  if (method !== 'GET') parts.push(`-X ${method}`);
  parts.push(quoted(location.origin + path));
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`-d ${quoted(body)}`);
  return parts.join(' ');
}

/** One request on the page. */
class Step {
  #step;
  #line;
  #button;
  #state;
  #answer;
  #control;

  constructor(step) {
    this.#step = step;
    const view = document.querySelector('template').content.firstElementChild.cloneNode(true);
    const find = (what) => view.querySelector(what);
    view.setAttribute('aria-label', step.name);
    find('h2').textContent = step.name;
    find('p').textContent = step.text;
    this.#line = find('.line pre');
    this.#line.setAttribute('aria-label', 'For curl');
    this.#button = find('.do button');
    this.#button.textContent = step.button;
    this.#state = find('.do span');
    this.#answer = find('.answer');
    this.#answer.setAttribute('aria-label', 'Answer');
    find('.copy').addEventListener('click', ({ target }) => copy(this.#line, target));
    this.#button.addEventListener('click', () => this.#pressed());
    document.querySelector('.steps').append(view);
    this.show();
  }

  /** Shows the line as it is now. */
  show() {
    this.#line.textContent = curl(this.#step.request(), this.#step.streams);
  }

  #pressed() {
    if (this.#control) this.#control.abort();
    else this.#send();
  }

  async #send() {
    const { button, streams, waits } = this.#step;
    const { path, ...request } = this.#step.request();
    const line = this.#line.textContent;
    this.#control = new AbortController();
    if (streams || waits) this.#button.textContent = waits ? 'Stop waiting' : 'Close the stream';
    this.#state.textContent = streams ? 'open' : 'waiting for the answer';
    this.#answer.textContent = `$ ${line}\n`;
    const from = performance.now();
    let end = 'closed';
    try {
      const { signal } = this.#control;
      const response = await fetch(path, { ...request, cache: 'no-store', signal });
      this.#add(headOf(response));
      if (streams) await this.#read(response);
      else await this.#take(path, request, response);
      end = streams ? 'the server has ended the stream' : `answered after ${Math.round(performance.now() - from)} ms`;
      if (response.status === 412) end = 'somebody has changed it: read it first';
      if (request.method === 'PATCH' && [404, 410].includes(response.status)) end = 'there is none: write it first';
    } catch (error) {
      if (error.name !== 'AbortError') end = `no answer: ${error.message}`;
    }
    this.#control = undefined;
    this.#button.textContent = button;
    this.#state.textContent = end;
    showLines();
  }

  async #take(path, request, response) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    this.#add(new TextDecoder().decode(bytes));
    if (path === LIST) known.take(request, response, bytes);
  }

  async #read(response) {
    const decoder = new TextDecoder();
    for await (const bytes of pieces(response.body)) this.#add(decoder.decode(bytes, { stream: true }));
  }

  #add(text) {
    const isAtEnd = this.#answer.scrollHeight - this.#answer.scrollTop - this.#answer.clientHeight < 40;
    this.#answer.textContent = (this.#answer.textContent + text).slice(-LONGEST_ANSWER);
    if (isAtEnd) this.#answer.scrollTop = this.#answer.scrollHeight;
  }
}

/** The pieces of a body as they arrive; not all browsers iterate over a stream. */
async function* pieces(body) {
  const reader = body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** The head of a response, with the headers that say something here. */
function headOf({ status, statusText, headers }) {
  const names = ['ETag', 'Last-Modified', 'Content-Type', 'Content-Range'];
  const lines = names.filter((name) => headers.has(name)).map((name) => `${name}: ${headers.get(name)}`);
  return [`HTTP ${status} ${statusText}`.trim(), ...lines, '', ''].join('\n');
}

/** Has all lines say what the page knows now. */
function showLines() {
  for (const step of steps) step.show();
}

nav();
const steps = STEPS.map((step) => new Step(step));
// Others may have written it.
const there = await fetch(LIST, { cache: 'no-store' });
known.take({}, there, new Uint8Array(await there.arrayBuffer()));
showLines();
