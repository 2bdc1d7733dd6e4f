import { canStream, fetchConnect, holding, ofText } from './held-connect.js';
import { Splitter } from './splitter.js';

/**
 * Makes the CometD client's transport `message-http` of one for long-polling: connects have a
 * response of type `message/http`, which is HTTP responses one after the other, and each of these
 * has a JSON array.
 */
export function messageHttp(transport) {
  const { accept } = transport;
  transport.accept = function (...where) {
    return canStream() && accept.apply(this, where);
  };
  return holding(transport, (held) => fetchConnect(held, splitterOf, { Accept: 'message/http' }));
}

function splitterOf(response) {
  const type = response.headers.get('Content-Type') ?? '';
  const isMessageHttp = /^message\/http\s*(;|$)/i.test(type);
  return isMessageHttp ? new ResponseSplitter() : ofText(new Splitter());
}

/** The response to a connect that is of another status than 200. */
export class ResponseError extends Error {
  name = 'ResponseError';
  /** The status. */
  status;

  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/**
 * Takes the JSON arrays out of HTTP/1.1 responses in a row, which may be cut anywhere. Every byte is
 * looked at once. Lengths count bytes, so this takes no text.
 */
export class ResponseSplitter {
  /** The head that has begun, as it came. */
  #head = '';
  /** How much of the blank line that ends a head stands at its end now. */
  #ended = 0;
  /** The response whose body is read. */
  #response = null;
  /** The text of that body, as it came. */
  #pieces = [];
  /** How many bytes of it are to come. */
  #missing = 0;
  #decoder = new TextDecoder();

  /**
   * Takes the next bytes, and yields the array of each response that they make whole. What is
   * yielded has to be taken to the end.
   *
   * @throws {ResponseError} at a response that is another than 200, or than only interim
   * @throws {SyntaxError} if what follows is no response, or its body no JSON
   */
  *push(bytes) {
    for (let at = 0; at < bytes.length; ) {
      at = this.#response ? this.#takeBody(bytes, at) : this.#takeHead(bytes, at);
      if (this.#response && this.#missing === 0) yield this.#whole();
    }
  }

  #takeHead(bytes, start) {
    for (let at = start; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (byte === END[this.#ended]) this.#ended += 1;
      else this.#ended = byte === END[0] ? 1 : 0;
      this.#head += String.fromCharCode(byte);
      if (this.#head.length > LONGEST_HEAD) throw new SyntaxError('a head without an end');
      if (this.#ended === END.length) {
        this.#begin();
        return at + 1;
      }
    }
    return bytes.length;
  }

  /** Looks at a head that is whole. */
  #begin() {
    const head = this.#head;
    this.#head = '';
    this.#ended = 0;
    const line = /^HTTP\/1\.[01] (\d{3}) ?(.*)\r\n/.exec(head);
    if (!line) throw new SyntaxError(`no response: ${JSON.stringify(head.slice(0, 40))}`);
    const status = Number(line[1]);
    // Interim responses have no body; they say that the connection is alive.
    if (status < 200) return;
    const length = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(head);
    if (!length) throw new SyntaxError('a response without a length');
    this.#response = { status, reason: line[2] };
    this.#missing = Number(length[1]);
  }

  #takeBody(bytes, start) {
    const end = Math.min(bytes.length, start + this.#missing);
    this.#pieces.push(this.#decoder.decode(bytes.subarray(start, end), { stream: true }));
    this.#missing -= end - start;
    return end;
  }

  /** The array of the response that is whole. */
  #whole() {
    const { status, reason } = this.#response;
    const text = this.#pieces.join('') + this.#decoder.decode();
    this.#response = null;
    this.#pieces = [];
    if (status === 200) return JSON.parse(text);
    throw new ResponseError(status, reasonIn(text) ?? reason);
  }
}

/** The reason that a body gives, if it is that of an error. */
function reasonIn(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}

const END = [...'\r\n\r\n'].map((it) => it.charCodeAt(0));
const LONGEST_HEAD = 16_384;
