/**
 * The HTTP API, with the key that was typed in, or the cookie of a login. A key is kept as long as the tab is open, and
 * goes nowhere else.
 */

const STORE = 'mirant.key';

export const key = {
  get: () => sessionStorage.getItem(STORE),
  set: (value) => sessionStorage.setItem(STORE, value),
  forget: () => sessionStorage.removeItem(STORE),
};

/** What the server says of a request that it does not serve. */
export class Refused extends Error {
  constructor(status, kind, detail) {
    super(detail);
    this.status = status;
    this.kind = kind;
  }
}

/** The server cannot be reached. */
export class Unreachable extends Error {}

/** What shows who asks. Without the header a cookie does not count, as any page can have it sent. */
function shown() {
  const own = { 'X-Requested-With': 'mirant' };
  if (key.get() === null) return { credentials: 'same-origin', headers: own };
  return { credentials: 'omit', headers: { ...own, Authorization: `Bearer ${key.get()}` } };
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      ...options,
      ...shown(),
      cache: 'no-store',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Unreachable('the server cannot be reached');
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? problem.error ?? `the server answers with status ${response.status}`;
  throw new Refused(response.status, (problem.type ?? '').replace('urn:mirant:', ''), detail);
}

export async function get(path, signal) {
  return (await ask(path, { signal })).json();
}

export async function post(path, text) {
  return (await ask(path, { method: 'POST', body: text })).json();
}

export const remove = (path) => ask(path, { method: 'DELETE' });

/** The path of a channel: its segments one by one, as they may hold what means something in a URL. */
export const channelPath = (channel) => channel.split('/').map(encodeURIComponent).join('/');

/** A query of those parameters that have a value. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return text && `?${text}`;
}

/**
 * Reads a stream of events until it ends, or the signal aborts it.
 *
 * @param {(name: string, data: object) => void} each
 */
export async function stream(path, each, signal, opened = () => {}) {
  const response = await ask(path, { signal });
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Unreachable('the connection was lost');
    }
    if (part.done) return;
    text += part.value;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) dispatch(block, each);
  }
}

function dispatch(block, each) {
  let name = 'message';
  const data = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice(7);
    if (line.startsWith('data: ')) data.push(line.slice(6));
  }
  if (data.length) each(name, JSON.parse(data.join('\n')));
}

/** Waits, unless that is aborted. */
const pause = (time, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

/**
 * Reads a stream, and opens it again when it breaks.
 *
 * @param {(state: 'open' | 'lost' | 'refused', why?: Error) => void} told
 */
export async function follow(path, each, told, signal) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await stream(path, each, signal, () => {
        failures = 0;
        told('open');
      });
      told('lost');
    } catch (error) {
      if (signal.aborted) return;
      const isFinal = error instanceof Refused && error.status < 500;
      told(isFinal ? 'refused' : 'lost', error);
      if (isFinal) return;
    }
    failures += 1;
    await pause(Math.min(1000 * failures, 5000), signal);
  }
}
