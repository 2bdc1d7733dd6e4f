/** The pointers of the others: where each was last, until it is silent for a while. */
import { hueOf } from './person.js';
import { HEIGHT, WIDTH } from './sheet.js';

const SILENCE = 8000;
const MOST = 50;

export class Pointers {
  #element;
  #all = new Map();

  constructor(element) {
    this.#element = element;
  }

  /** Takes where somebody's is; without a place it is nowhere. Anyone may publish anything. */
  take({ id, name, place }) {
    if (!Array.isArray(place) || !place.every(Number.isFinite)) {
      this.remove(id);
      return;
    }
    let pointer = this.#all.get(id);
    if (!pointer) {
      if (this.#all.size === MOST) return;
      pointer = { label: document.createElement('div') };
      this.#all.set(id, pointer);
      this.#element.append(pointer.label);
    }
    const { label } = pointer;
    const { clientWidth, clientHeight } = this.#element;
    label.textContent = name;
    label.style.setProperty('--hue', hueOf(name));
    // Near the right edge the label is on the other side.
    const isLeft = place[0] > WIDTH * 0.8;
    label.classList.toggle('left', isLeft);
    const [x, y] = [(place[0] / WIDTH) * clientWidth, (place[1] / HEIGHT) * clientHeight];
    label.style.transform = `translate(${x}px, ${y}px) translateX(${isLeft ? -100 : 0}%)`;
    clearTimeout(pointer.timer);
    pointer.timer = setTimeout(() => this.remove(id), SILENCE);
  }

  remove(id) {
    this.#all.get(id)?.label.remove();
    this.#all.delete(id);
  }
}
