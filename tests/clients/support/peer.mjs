import { brief, within } from './within.mjs';

/**
 * The remote control of one client, wherever that runs: in a process or in a browser.
 *
 * The client side is a driver (`drivers/`): an object with `connect`, `subscribe`, `unsubscribe`,
 * `publish` and `disconnect`, which reports `message` and `reconnected`. The harness around it adds
 * the `request` reports.
 */
export class Peer {
  /** The messages received and not yet taken, in order. */
  messages = [];
  /** The times that messages carried. */
  timestamps = [];
  /** The replies that said no, each as one text: channel, subscription, error, and advice to reconnect. */
  refusals = [];
  /** How often the client has replaced a lost session. */
  reconnections = 0;
  /** Requests to the server that wait for their response. */
  inFlight = 0;
  /** How many responses it got. */
  responses = 0;
  /** What became of the requests that got no response. */
  failures = [];
  /** The status codes of the responses, where the harness sees them. */
  statuses = [];
  #name;
  #perform;
  #close;
  #wake = () => {};

  /**
   * @param {string} name for failure reports
   * @param {(operation: string, ...args: unknown[]) => Promise<unknown>} perform
   * @param {() => Promise<void>} close
   */
  constructor(name, perform, close) {
    this.#name = name;
    this.#perform = perform;
    this.#close = close;
  }

  /** Takes a report of the driver or of the harness around it. */
  report(event) {
    switch (event.type) {
      case 'message':
        this.messages.push({ channel: event.channel, data: event.data });
        if (event.timestamp !== undefined) this.timestamps.push(event.timestamp);
        break;
      case 'refusal': {
        const { channel, subscription, error, reconnect } = event;
        this.refusals.push([channel, subscription, error, reconnect].filter(Boolean).join(' '));
        break;
      }
      case 'reconnected':
        this.reconnections += 1;
        break;
      case 'request':
        this.inFlight += 1;
        break;
      case 'response':
        this.inFlight -= 1;
        this.responses += 1;
        break;
      case 'status':
        this.statuses.push(event.status);
        break;
      case 'failure':
        this.inFlight -= 1;
        this.failures.push(event.reason);
        break;
      default:
        throw new Error(`${this.#name} reported ${JSON.stringify(event)}`);
    }
    this.#wake();
  }

  /** Resolves with the transport in use, once the first `/meta/connect` was answered. */
  connect(url, options) {
    return this.#call('connect', url, options);
  }

  subscribe(channel) {
    return this.#call('subscribe', channel);
  }

  unsubscribe(channel) {
    return this.#call('unsubscribe', channel);
  }

  publish(channel, data) {
    return this.#call('publish', channel, data);
  }

  disconnect() {
    return this.#call('disconnect');
  }

  /** Makes a request as a page does; `status`, `headers` and `text` of the response. */
  fetch(url, options) {
    return this.#call('fetch', url, options);
  }

  /** Has the driver do something that not all of them can. */
  perform(operation, ...args) {
    return this.#call(operation, ...args);
  }

  /** The next message, removed from `messages`. */
  async receive() {
    await this.until('a message', () => this.messages.length > 0);
    return this.messages.shift();
  }

  /** Waits until `condition` holds; it is looked at again at every report. */
  async until(what, condition) {
    let expired = false;
    const held = async () => {
      while (!expired && !condition()) {
        await new Promise((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    try {
      await within(`${this.#name}: ${what}`, held());
    } finally {
      expired = true;
      this.#wake();
    }
  }

  close() {
    return within(`${this.#name} to end`, this.#close());
  }

  #call(operation, ...args) {
    const what = brief(`${this.#name}: ${operation} ${JSON.stringify(args)}`);
    return within(what, this.#perform(operation, ...args));
  }
}
