/** The panel that shows what goes over the wire: the last messages, as they were sent and received. */

const MOST_LINES = 200;
const LONGEST_LINE = 600;

export class Wire {
  /** What the page shows. */
  element = document.createElement('aside');
  #list;
  #count;
  #how;
  /** Lines that are shown with the next frame. */
  #waiting = [];
  #number = 0;
  #isPaused = false;

  constructor() {
    this.element.className = 'wire card';
    this.element.setAttribute('aria-label', 'What goes over the wire');
    this.element.innerHTML = `
      <details>
        <summary>On the wire: <span>0</span> messages</summary>
        <div class="tools"><span></span>
          <button type="button" class="small" aria-pressed="false">Pause</button>
          <button type="button" class="small">Clear</button></div>
        <ol tabindex="0" aria-label="Messages"></ol>
      </details>`;
    const find = (what) => this.element.querySelector(what);
    this.#list = find('ol');
    this.#count = find('summary span');
    this.#how = find('.tools span');
    find('details').open = matchMedia('(min-width: 62rem)').matches;
    const [pause, clear] = this.element.querySelectorAll('button');
    pause.addEventListener('click', () => {
      this.#isPaused = !this.#isPaused;
      pause.setAttribute('aria-pressed', this.#isPaused);
    });
    clear.addEventListener('click', () => {
      this.#waiting = [];
      this.#list.replaceChildren();
    });
  }

  /** Watches the messages of a client; to be called before other extensions are registered, which then come before. */
  watch(cometd) {
    cometd.registerExtension('wire', {
      outgoing: (message) => this.#add('sent', message),
      incoming: (message) => this.#add('received', message),
    });
  }

  /** Says how messages travel. */
  explain(how) {
    this.#how.textContent = how;
  }

  /** Adds a line that is no message. */
  note(text) {
    this.#line('note', text);
  }

  #add(way, message) {
    this.#number += 1;
    this.#line(way, JSON.stringify(message));
    return message;
  }

  #line(kind, text) {
    if (this.#waiting.length === 0) requestAnimationFrame(() => this.#show());
    if (this.#isPaused) text = null;
    this.#waiting.push([kind, text]);
    if (this.#waiting.length > MOST_LINES) this.#waiting.shift();
  }

  #show() {
    this.#count.textContent = this.#number.toLocaleString();
    const isAtEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 60;
    for (const [kind, text] of this.#waiting) if (text !== null) this.#list.append(lineOf(kind, text));
    this.#waiting = [];
    while (this.#list.childElementCount > MOST_LINES) this.#list.firstElementChild.remove();
    if (isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }
}

/** The line of a message. Anyone may send anything: it is text, never markup. */
function lineOf(kind, text) {
  const line = document.createElement('li');
  line.className = kind;
  if (kind !== 'note') {
    const way = document.createElement('b');
    way.textContent = kind === 'sent' ? '→ sent ' : '← received ';
    line.append(way);
  }
  line.append(text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE)}… (${text.length} characters)` : text);
  return line;
}
