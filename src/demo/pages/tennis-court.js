/** The picture of the court: draws what it is told, in the page's colours. */

/** How long the ball's trail lasts (ms). */
const TRAIL = 180;

export class Court {
  #canvas;
  #context;
  #size;
  #colours;
  #trail = [];
  #isCalm = matchMedia('(prefers-reduced-motion: reduce)');

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    this.#readColours();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#readColours());
  }

  /** @param {{width: number, height: number, pad: number, face: number, radius: number}} size in units of the court */
  set size(size) {
    this.#size = size;
    this.#trail = [];
  }

  /** Where on the court something on the screen is, from its top. */
  heightOf(clientY) {
    const { top, height } = this.#canvas.getBoundingClientRect();
    return ((clientY - top) / height) * this.#size.height;
  }

  /**
   * @param {object} view
   * @param {[number, number]} view.ball
   * @param {[number, number]} view.pads where their middles are
   * @param {boolean} view.flies whether the ball is in play
   * @param {number} [view.own] whose pad is that of who looks
   * @param {string} [text] what stands over it
   */
  draw({ ball, pads, flies, own }, text = '') {
    const { width } = this.#size;
    const scale = this.#fit() / width;
    const context = this.#context;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#drawGround();
    pads.forEach((y, side) => this.#drawPad(y, side, side === own));
    this.#drawTrail(ball, flies);
    this.#drawBall(ball);
    if (text) this.#write(text);
  }

  /** Gives the picture the pixels that the screen has; how many there are in a line. */
  #fit() {
    const canvas = this.#canvas;
    const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
    const lines = Math.round((pixels * this.#size.height) / this.#size.width);
    if (canvas.width !== pixels || canvas.height !== lines) Object.assign(canvas, { width: pixels, height: lines });
    return pixels;
  }

  #drawGround() {
    const { width, height } = this.#size;
    const context = this.#context;
    context.fillStyle = this.#colours.court;
    context.fillRect(0, 0, width, height);
    context.strokeStyle = this.#colours.line;
    context.lineWidth = 0.5;
    context.strokeRect(1.5, 1.5, width - 3, height - 3);
    context.setLineDash([2.5, 2.5]);
    context.beginPath();
    context.moveTo(width / 2, 1.5);
    context.lineTo(width / 2, height - 1.5);
    context.stroke();
    context.setLineDash([]);
  }

  #drawPad(y, side, isOwn) {
    const { width, pad, face } = this.#size;
    const context = this.#context;
    const thick = 2.4;
    const left = side === 0 ? face - thick : width - face;
    context.fillStyle = this.#colours.pads[side];
    context.beginPath();
    context.roundRect(left, y - pad / 2, thick, pad, 1.2);
    context.fill();
    if (!isOwn) return;
    context.strokeStyle = this.#colours.ink;
    context.lineWidth = 0.6;
    context.stroke();
  }

  #drawTrail(ball, flies) {
    if (!flies || this.#isCalm.matches) {
      this.#trail = [];
      return;
    }
    const now = performance.now();
    this.#trail.push({ at: ball, now });
    this.#trail = this.#trail.filter((point) => now - point.now < TRAIL);
    const context = this.#context;
    context.strokeStyle = this.#colours.ball;
    this.#trail.slice(1).forEach(({ at, now: then }, index) => {
      const strength = 1 - (now - then) / TRAIL;
      context.globalAlpha = 0.3 * strength;
      context.lineWidth = 2 * this.#size.radius * strength;
      context.beginPath();
      context.moveTo(...this.#trail[index].at);
      context.lineTo(...at);
      context.stroke();
    });
    context.globalAlpha = 1;
  }

  #drawBall([x, y]) {
    const context = this.#context;
    context.fillStyle = this.#colours.ball;
    context.beginPath();
    context.arc(x, y, this.#size.radius, 0, 2 * Math.PI);
    context.fill();
  }

  #write(text) {
    const { width, height } = this.#size;
    const context = this.#context;
    const size = text.length > 2 ? 9 : 22;
    context.font = `600 ${size}px Georgia, "Liberation Serif", serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    // The net ends where something is written.
    const wide = context.measureText(text).width + 6;
    context.fillStyle = this.#colours.court;
    context.fillRect((width - wide) / 2, (height - size) / 2 - 2, wide, size + 4);
    context.fillStyle = this.#colours.ink;
    context.fillText(text, width / 2, height / 2 + size / 20);
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.#colours = {
      court: colour('court'),
      line: colour('court-line'),
      ink: colour('court-ink'),
      ball: colour('ball'),
      pads: [colour('pad-left'), colour('pad-right')],
    };
  }
}
