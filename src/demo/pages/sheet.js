/** The sheet: strokes that are finished on one canvas, and on another above it those that are being drawn. */

/** Places on the sheet are whole numbers, whatever its size on the screen. */
export const WIDTH = 1000;
export const HEIGHT = 640;
const MOST_STROKES = 2000;
const MOST_LIVE = 100;
/** The numbers of a stroke: places of two each. */
export const MOST_NUMBERS = 600;

/** Whether something is a stroke. Anyone may publish anything. */
export const isStroke = (it) =>
  typeof it?.id === 'string' &&
  /^#[0-9a-f]{6}$/.test(it.colour) &&
  it.width > 0 && it.width <= 40 &&
  Array.isArray(it.points) && it.points.length >= 2 && it.points.length <= MOST_NUMBERS && it.points.every(Number.isFinite);

export class Sheet {
  #done;
  #live;
  #strokes = new Map();
  /** Those that are being drawn, each in as many parts as have come. */
  #growing = new Map();
  #isDrawing = false;

  /** @param {HTMLCanvasElement} done @param {HTMLCanvasElement} live */
  constructor(done, live) {
    this.#done = done;
    this.#live = live;
    new ResizeObserver(() => this.#resize()).observe(live);
  }

  get size() {
    return this.#strokes.size;
  }

  /** Puts a finished stroke on it. */
  add(stroke) {
    this.#growing.delete(stroke.id);
    this.#later();
    if (this.#strokes.has(stroke.id)) return;
    this.#strokes.set(stroke.id, stroke);
    if (this.#strokes.size > MOST_STROKES) this.#strokes.delete(this.#strokes.keys().next().value);
    paint(contextOf(this.#done), stroke);
  }

  /** Lengthens a stroke that is being drawn. */
  grow({ id, colour, width, points }) {
    if (this.#strokes.has(id)) return;
    const known = this.#growing.get(id);
    if (!known && this.#growing.size === MOST_LIVE) this.#growing.delete(this.#growing.keys().next().value);
    const all = [...(known?.points ?? []), ...points].slice(-MOST_NUMBERS);
    this.#growing.set(id, { id, colour, width, points: all });
    this.#later();
  }

  remove(id) {
    this.#growing.delete(id);
    if (this.#strokes.delete(id)) this.#repaint();
    this.#later();
  }

  clear() {
    this.#strokes.clear();
    this.#growing.clear();
    this.#repaint();
    this.#later();
  }

  /** The place on the sheet that a pointer is at. */
  placeOf({ clientX, clientY }) {
    const { left, top, width, height } = this.#live.getBoundingClientRect();
    return [((clientX - left) / width) * WIDTH, ((clientY - top) / height) * HEIGHT].map(Math.round);
  }

  #resize() {
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.#done, this.#live]) {
      canvas.width = Math.round(this.#live.clientWidth * ratio);
      canvas.height = Math.round(this.#live.clientHeight * ratio);
    }
    this.#repaint();
    this.#later();
  }

  #repaint() {
    const context = wiped(this.#done);
    for (const stroke of this.#strokes.values()) paint(context, stroke);
  }

  /** Paints what is being drawn with the next frame. */
  #later() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      const context = wiped(this.#live);
      for (const stroke of this.#growing.values()) paint(context, stroke);
    });
  }
}

function contextOf(canvas) {
  const context = canvas.getContext('2d');
  context.setTransform(canvas.width / WIDTH, 0, 0, canvas.height / HEIGHT, 0, 0);
  return context;
}

function wiped(canvas) {
  const context = contextOf(canvas);
  context.clearRect(0, 0, WIDTH, HEIGHT);
  return context;
}

/** Paints a stroke as a line that bends in the middle between its places. */
function paint(context, { colour, width, points }) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineCap = 'round';
  context.lineJoin = 'round';
  context.beginPath();
  context.moveTo(points[0], points[1]);
  for (let at = 2; at + 3 < points.length; at += 2) {
    const middle = [(points[at] + points[at + 2]) / 2, (points[at + 1] + points[at + 3]) / 2];
    context.quadraticCurveTo(points[at], points[at + 1], ...middle);
  }
  context.lineTo(points.at(-2), points.at(-1));
  context.stroke();
}
