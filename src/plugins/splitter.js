/**
 * Takes JSON arrays out of a text that grows.
 *
 * The text is any number of arrays with white space between them; it may be cut anywhere. Every
 * character is looked at once, and copied twice at most.
 */
export class Splitter {
  /** The text of the array that has begun, as it came. */
  #pieces = [];
  /** How many brackets are open, outside of strings. */
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  /** Whether no array has begun that is not whole yet. */
  get isBetween() {
    return this.#depth === 0;
  }

  /**
   * Takes the next piece of the text, and yields each array that it makes whole. What is yielded has
   * to be taken to the end.
   *
   * @throws {SyntaxError} if what follows is no array
   */
  *push(piece) {
    let start = 0;
    for (let at = 0; at < piece.length; at += 1) {
      const code = piece.charCodeAt(at);
      if (this.#isInString) {
        this.#inString(code);
      } else if (code === OPENING) {
        if (this.#depth === 0) start = at;
        this.#depth += 1;
      } else if (this.#depth === 0) {
        if (!WHITE.has(code)) throw new SyntaxError(`no array: ${brief(piece.slice(at))}`);
      } else if (code === QUOTE) {
        this.#isInString = true;
      } else if (code === CLOSING) {
        this.#depth -= 1;
        if (this.#depth === 0) yield this.#whole(piece.slice(start, at + 1));
      }
    }
    if (this.#depth > 0) this.#pieces.push(start > 0 ? piece.slice(start) : piece);
  }

  #inString(code) {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (code === BACKSLASH) this.#isEscaped = true;
    else if (code === QUOTE) this.#isInString = false;
  }

  #whole(last) {
    this.#pieces.push(last);
    const text = this.#pieces.join('');
    this.#pieces = [];
    return JSON.parse(text);
  }
}

const [OPENING, CLOSING, QUOTE, BACKSLASH] = [...'[]"\\'].map((it) => it.charCodeAt(0));
const WHITE = new Set([...' \t\r\n'].map((it) => it.charCodeAt(0)));

const brief = (text) => JSON.stringify(text.slice(0, 40));
