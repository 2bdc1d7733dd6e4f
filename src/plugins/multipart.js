import { canStream, fetchConnect, holding, ofText } from './held-connect.js';
import { Splitter } from './splitter.js';

/**
 * Makes the CometD client's transport `multipart` of one for long-polling: connects have a response
 * of type `multipart/x-mixed-replace`, whose every part is a JSON array. Browsers hand such a
 * response on as it is, so its parts are told apart here.
 */
export function multipart(transport) {
  const { accept } = transport;
  transport.accept = function (...where) {
    return canStream() && accept.apply(this, where);
  };
  return holding(transport, (held) => fetchConnect(held, splitterOf));
}

function splitterOf(response) {
  const boundary = boundaryOf(response.headers.get('Content-Type') ?? '');
  return ofText(boundary === null ? new Splitter() : new PartSplitter(boundary));
}

/** The boundary that a `Content-Type` names; null if it is of another type. */
export function boundaryOf(contentType) {
  const found = /^multipart\/[^;]*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType);
  return found && (found[1] ?? found[2]);
}

/**
 * Takes the JSON arrays out of a multipart text that grows, and may be cut anywhere. Every character
 * is looked at once; of each piece, some more than the boundary's length are looked at again.
 */
export class PartSplitter {
  #delimiter;
  /** The text since the last delimiter. */
  #pieces = [];
  /** The end of the text, which may be the beginning of a delimiter. */
  #rest = '\r\n';
  #isInside = false;

  /** @param {string} boundary as the `Content-Type` names it */
  constructor(boundary) {
    this.#delimiter = `\r\n--${boundary}`;
  }

  /**
   * Takes the next piece of the text, and yields the array of each part that it makes whole. What is
   * yielded has to be taken to the end.
   *
   * @throws {SyntaxError} if a part is no JSON
   */
  *push(piece) {
    const text = this.#rest + piece;
    const { length } = this.#delimiter;
    let from = 0;
    let end;
    while ((end = text.indexOf(this.#delimiter, from)) >= 0) {
      this.#pieces.push(text.slice(from, end));
      from = end + length;
      const part = this.#pieces.join('');
      this.#pieces = [];
      // What stands before the first delimiter is no part.
      if (this.#isInside) yield arrayOf(part);
      this.#isInside = true;
    }
    const certain = Math.max(from, text.length - length + 1);
    this.#pieces.push(text.slice(from, certain));
    this.#rest = text.slice(certain);
  }
}

function arrayOf(part) {
  const end = part.indexOf('\r\n\r\n');
  if (end < 0) throw new SyntaxError('a part without a body');
  return JSON.parse(part.slice(end + 4));
}
