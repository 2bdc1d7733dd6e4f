import { holding } from './held-connect.js';

/**
 * Makes the CometD client's transport `iframe` of one for long-polling: connects are posted by a form
 * into a hidden frame, whose document grows by a script for every array of messages. Only for pages
 * of the server's own origin.
 *
 * Browsers do not tell a page that the connection of its frame broke. What tells is silence: the
 * server's heartbeats make the document grow too.
 */
export function iframe(transport, { silence = 15_000 } = {}) {
  const { accept } = transport;
  transport.accept = function (version, crossDomain, url) {
    const canFrame = typeof document === 'object' && typeof structuredClone === 'function';
    return canFrame && !crossDomain && accept.call(this, version, crossDomain, url);
  };
  // The next frame is opened before the last is taken away, lest the browser shows that it loads.
  let last = null;
  return holding(transport, (held) => {
    const frame = new Frame(held, silence);
    last?.giveWay();
    last = frame;
  });
}

let frames = 0;

/** The hidden frame of one connect. */
class Frame {
  #held;
  #element;
  #callback;
  #silence;
  #timer;
  #hasLoaded = false;
  #givesWay = false;

  constructor(held, silence) {
    frames += 1;
    this.#held = held;
    this.#callback = `_mirant_frame_${frames}`;
    this.#silence = silence;
    this.#element = hidden('iframe', { name: `${this.#callback}_target` });
    document.body.append(this.#element);
    held.release = () => this.#close();
    // The arrays are objects of the frame, of other classes than the page's.
    window[this.#callback] = (messages) => held.receive(structuredClone(messages));
    this.#element.addEventListener('load', () => this.#load());
    this.#post();
    if (silence > 0 && silence < Infinity) this.#watch();
  }

  /** Takes the frame away when its document is whole: another has replaced it. */
  giveWay() {
    this.#givesWay = true;
    if (this.#hasLoaded) this.#close();
  }

  #post() {
    const { url, body } = this.#held;
    const form = hidden('form', { method: 'POST', action: url, target: this.#element.name });
    form.acceptCharset = 'utf-8';
    form.append(
      hidden('input', { name: 'message', value: body }),
      hidden('input', { name: 'jsonp', value: this.#callback }),
    );
    document.body.append(form);
    form.submit();
    form.remove();
  }

  #load() {
    if (isEmpty(this.#element)) return;
    this.#hasLoaded = true;
    this.#held.client.clearTimeout(this.#timer);
    this.#held.fail('the frame ended without a reply');
    // After a disconnect no other will replace it.
    if (this.#givesWay || this.#held.client.isDisconnected()) this.#close();
  }

  #watch(size = sizeOf(this.#element)) {
    this.#timer = this.#held.client.setTimeout(() => {
      const grown = sizeOf(this.#element);
      if (grown === size) this.#held.fail('the frame is silent');
      else this.#watch(grown);
    }, this.#silence);
  }

  #close() {
    this.#held.client.clearTimeout(this.#timer);
    delete window[this.#callback];
    this.#element.remove();
  }
}

function hidden(tag, properties) {
  return Object.assign(document.createElement(tag), { hidden: true }, properties);
}

/** Whether a frame shows the empty document that it begins with. */
function isEmpty(frame) {
  try {
    return frame.contentWindow.location.href === 'about:blank';
  } catch {
    // A page that the browser shows of an error.
    return false;
  }
}

/** Something that changes when the document of a frame grows. */
function sizeOf(frame) {
  const body = frame.contentDocument?.body;
  return `${body?.childNodes.length} ${body?.lastChild?.textContent.length}`;
}
