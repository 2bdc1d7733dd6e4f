/** The pen: strokes by mouse, finger, stylus or keyboard. */
import { HEIGHT, MOST_NUMBERS, WIDTH } from './sheet.js';
import { newId } from './person.js';

const STEP = 12;
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

export class Pen {
  #styleOf;
  #grown;
  #done;
  #moved;
  #stroke = null;
  /** Where the keyboard has it. */
  #place = [WIDTH / 2, HEIGHT / 2];

  /**
   * @param {HTMLElement} element
   * @param {Sheet} sheet
   * @param {object} told
   * @param {() => { colour: string, width: number }} told.style what the next stroke is like
   * @param {(part) => void} told.grown a stroke has these places more
   * @param {(stroke) => void} told.done a stroke is finished
   * @param {(place, byKeyboard) => void} told.moved where the pen is, be it down or not, and whether
   *   the keyboard has moved it; without one, nowhere
   */
  constructor(element, sheet, { style, grown, done, moved }) {
    [this.#styleOf, this.#grown, this.#done, this.#moved] = [style, grown, done, moved];
    element.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      element.setPointerCapture(event.pointerId);
      this.#down(sheet.placeOf(event));
    });
    element.addEventListener('pointermove', (event) => {
      // Also the places between, of which browsers tell together.
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length > 0 ? all : [event]) this.#move(sheet.placeOf(each));
    });
    for (const type of ['pointerup', 'pointercancel', 'blur']) element.addEventListener(type, () => this.#lift());
    element.addEventListener('pointerleave', () => this.#moved());
    element.addEventListener('keydown', (event) => this.#key(event));
  }

  #key(event) {
    const step = ARROWS[event.key];
    if (!step && event.key !== ' ') return;
    event.preventDefault();
    if (step) {
      const [x, y] = this.#place;
      this.#move([Math.min(WIDTH, Math.max(0, x + step[0])), Math.min(HEIGHT, Math.max(0, y + step[1]))], true);
    } else if (this.#stroke) this.#lift();
    else this.#down(this.#place);
  }

  #down(place) {
    this.#lift();
    this.#stroke = { id: newId(), ...this.#styleOf(), points: [] };
    this.#move(place);
  }

  #move(place, byKeyboard = false) {
    this.#place = place;
    this.#moved(place, byKeyboard);
    const stroke = this.#stroke;
    if (!stroke) return;
    const [x, y] = stroke.points.slice(-2);
    if (x === place[0] && y === place[1]) return;
    stroke.points.push(...place);
    this.#grown({ ...stroke, points: place });
    // A long one goes on as another.
    if (stroke.points.length >= MOST_NUMBERS - 2) this.#down(place);
  }

  #lift() {
    const stroke = this.#stroke;
    this.#stroke = null;
    if (stroke) this.#done(stroke);
  }
}
