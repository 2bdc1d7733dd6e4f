/** Where a player wants the pad: by keys and buttons that are held, or where a pointer is on the court. */

const KEYS = { ArrowUp: -1, ArrowDown: 1, KeyW: -1, KeyS: 1 };

export class Controls {
  /** Where the pad's middle is wanted, in units of the court. */
  wanted = 0;
  /** Whether there is a pad to move. */
  isOn = false;
  #held = new Set();
  #way = 0;

  /**
   * @param {HTMLElement} court on which pointers move
   * @param {(clientY: number) => number} heightOf where on the court a pointer is
   * @param {HTMLButtonElement[]} buttons that are held: up, and down
   */
  constructor(court, heightOf, buttons) {
    addEventListener('keydown', (event) => this.#press(event));
    addEventListener('keyup', ({ code }) => this.#hold(code, false));
    addEventListener('blur', () => this.#letGo());
    const follow = ({ clientY }) => {
      if (this.isOn) this.wanted = heightOf(clientY);
    };
    court.addEventListener('pointerdown', (event) => {
      court.setPointerCapture(event.pointerId);
      follow(event);
    });
    court.addEventListener('pointermove', follow);
    buttons.forEach((button, index) => this.#use(button, ['ArrowUp', 'ArrowDown'][index]));
  }

  /** Goes on while something is held, from where the pad is to be seen; keeps what is wanted within the bounds. */
  advance(seconds, speed, [least, most]) {
    this.wanted = Math.min(Math.max(this.wanted + this.#way * speed * seconds, least), most);
  }

  #press(event) {
    const { code, target, ctrlKey, metaKey, altKey } = event;
    if (!this.isOn || !(code in KEYS) || ctrlKey || metaKey || altKey) return;
    if (target.matches?.('input, select, textarea')) return;
    event.preventDefault(); // the page would scroll
    this.#hold(code, true);
  }

  #use(button, code) {
    button.addEventListener('pointerdown', (event) => {
      button.setPointerCapture(event.pointerId);
      button.classList.add('held');
      this.#hold(code, true);
    });
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      button.addEventListener(end, () => {
        button.classList.remove('held');
        this.#hold(code, false);
      });
    }
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  #hold(code, isHeld) {
    if (isHeld) this.#held.add(code);
    else this.#held.delete(code);
    this.#way = Math.sign([...this.#held].reduce((sum, held) => sum + KEYS[held], 0));
  }

  #letGo() {
    this.#held.clear();
    this.#way = 0;
  }
}
