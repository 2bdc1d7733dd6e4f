/** What a page knows of a resource: its last state that it has sent or received, and the tag and the date of that. */
export class Known {
  tag;
  modified;
  #bytes = new Uint8Array();

  /** How many elements it has, if it is a list. */
  get count() {
    try {
      const { length } = JSON.parse(new TextDecoder().decode(this.#bytes));
      return Number.isInteger(length) ? length : 0;
    } catch {
      return 0;
    }
  }

  /** For a request that is to wait if what is known is the latest. */
  get unless() {
    return this.tag ? { 'If-None-Match': this.tag } : {};
  }

  /** For a change of what is known, and of nothing else. */
  get ifSame() {
    return this.tag ? { 'If-Match': this.tag } : {};
  }

  /** Where a text stands that replaces the last byte. */
  rangeOfEnd(text) {
    const first = Math.max(0, this.#bytes.length - 1);
    return `bytes ${first}-${first + new TextEncoder().encode(text).length - 1}/*`;
  }

  /** Learns from the response to a request. */
  take({ method = 'GET', headers = {}, body }, response, received) {
    const { status } = response;
    if (status === 410 || method === 'DELETE') this.#keep(new Uint8Array(), response);
    if (!response.ok || status === 204) return;
    const sent = new TextEncoder().encode(body ?? '');
    if (method === 'PUT') this.#keep(sent, response);
    else if (method === 'PATCH') this.#replace(headers['Content-Range'], sent, response);
    else if (status === 206) this.#replace(response.headers.get('Content-Range'), received, response);
    else this.#keep(received, response);
  }

  #replace(range, part, response) {
    const first = Number(/(\d+)-/.exec(range)[1]);
    const after = this.#bytes.slice(first + part.length);
    this.#keep(Uint8Array.of(...this.#bytes.slice(0, first), ...part, ...after), response);
  }

  #keep(bytes, { headers }) {
    this.#bytes = bytes;
    this.tag = headers.get('ETag') ?? undefined;
    this.modified = headers.get('Last-Modified') ?? undefined;
  }
}
