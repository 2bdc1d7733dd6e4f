/**
 * The states of a match as they came, and what the court looks like in between: a little later than now, so that there
 * mostly is a state before and one behind. It knows no network and no screen; times are in ms.
 */

/** How many states are kept. */
const KEPT = 60;
/** How far the court may be behind what is known of it. */
const LEAST_DELAY = 45;
const MOST_DELAY = 400;
/** For how long a ball flies on of which nothing new is heard. */
const LONGEST_GUESS = 250;
/** A state that is so late began with another clock: the game's server had been away. */
const OTHER_CLOCK = 1_000;

const mix = (from, to, part) => from + (to - from) * part;

export class Timeline {
  #court;
  #states = [];
  /** How far the clock of here is ahead of the match's, by the state that came fastest. */
  #offset = Infinity;
  #delay = LEAST_DELAY;

  /** @param {{height: number, radius: number}} court between whose walls balls bounce */
  constructor(court) {
    this.#court = court;
  }

  get last() {
    return this.#states.at(-1);
  }

  add(state, now) {
    const { last } = this;
    if (last && state.t <= last.t) {
      // It came twice, or the match has begun anew where it was a little before.
      if (state.t === last.t) return;
      this.#states = [];
    }
    const offset = now - state.t;
    if (offset - this.#offset > OTHER_CLOCK) {
      this.#states = [];
      this.#offset = offset;
    }
    this.#offset = Math.min(this.#offset + 0.5, offset); // clocks differ a little in speed, too
    const isOn = this.last?.phase === 'rally' && state.phase === 'rally';
    if (isOn) this.#wait(offset - this.#offset + state.t - this.last.t);
    this.#states.push(state);
    if (this.#states.length > KEPT) this.#states.shift();
  }

  /** Where ball and pads are to be seen, and the state that this is the course of; null as long as none has come. */
  at(now) {
    if (this.#states.length === 0) return null;
    const t = now - this.#offset - this.#delay;
    let index = this.#states.findLastIndex((state) => state.t <= t);
    if (index < 0) index = 0;
    const [from, to] = [this.#states[index], this.#states[index + 1]];
    const passed = Math.min(Math.max(t - from.t, 0), LONGEST_GUESS);
    if (!to) return { state: from, ball: this.#flown(from, passed), pads: from.pads };
    const part = Math.min(Math.max((t - from.t) / (to.t - from.t), 0), 1);
    const pads = from.pads.map((y, side) => mix(y, to.pads[side], part));
    const isServed = String(from.score) !== String(to.score);
    if (isServed) return { state: from, ball: this.#flown(from, passed), pads };
    return { state: from, ball: [mix(from.ball[0], to.ball[0], part), mix(from.ball[1], to.ball[1], part)], pads };
  }

  /** Is as late as is needed: at once when that is more, and slowly when it is less. */
  #wait(needed) {
    this.#delay = Math.min(Math.max(needed, mix(this.#delay, needed, 0.03), LEAST_DELAY), MOST_DELAY);
  }

  #flown({ phase, ball: [x, y, vx, vy] }, passed) {
    if (phase !== 'rally') return [x, y];
    const { height, radius } = this.#court;
    const room = height - 2 * radius;
    const down = Math.abs(y - radius + (vy * passed) / 1000) % (2 * room);
    return [x + (vx * passed) / 1000, radius + (down > room ? 2 * room - down : down)];
  }
}
