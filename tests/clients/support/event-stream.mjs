import { get } from 'node:http';

import { within } from './within.mjs';

/** Events of a `text/event-stream`, as they come. */
export class EventStream {
  #request;
  #fields;

  /** Resolves when the response has begun; `status` and `headers` are its own. */
  static async open(url, headers = {}) {
    const stream = new EventStream();
    const response = await within(
      'a response',
      new Promise((resolve, reject) => {
        const accepting = { Accept: 'text/event-stream', ...headers };
        stream.#request = get(url, { agent: false, headers: accepting }, resolve);
        stream.#request.once('error', reject);
      }),
    );
    stream.#request.on('error', () => {});
    stream.status = response.statusCode;
    stream.headers = response.headers;
    stream.#fields = fieldsOf(response.setEncoding('utf8'));
    return stream;
  }

  /** The fields of the next event; what has no data is none. */
  async next() {
    for (;;) {
      const { value, done } = await within('an event', this.#fields.next());
      if (done) throw new Error('the stream ended');
      if ('data' in value) return value;
    }
  }

  close() {
    this.#request.destroy();
  }
}

async function* fieldsOf(response) {
  let text = '';
  for await (const chunk of response) {
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      yield Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/s, 2)));
    }
  }
}
