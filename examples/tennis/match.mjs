// One match: its score, its phases, and what becomes of it when a player is away. It knows no network; the time (ms)
// is an argument, and whoever owns a match calls `advance` often.
import { COURT, PAD, LEFT, RIGHT, moveBall, movePad, onCourt, other, serve } from './physics.mjs';

/** Who has so many points has won. */
export const POINTS = 7;
/** How long the ball waits before it flies (ms). */
export const READY = 2_000;
/** A player of whom nothing was heard for so long is away (ms); pages say each second that they are there. */
export const SILENCE = 2_500;
/** Who is away for so long has lost (ms). */
export const PATIENCE = 15_000;

/** The ball is moved in steps of this length (ms). */
const STEP = 10;
/** A process that slept does not make the ball jump further than this (ms). */
const LONGEST_JUMP = 200;
/** How fast the house's pad is, of what a player's can do. */
const HOUSE = 0.45;

const MIDDLE = COURT.height / 2;
const round = (value) => Math.round(value * 100) / 100;

export class Match {
  score = [0, 0];
  /** How often the pads have hit the ball since it was served. */
  hits = 0;
  /** Once it is over: the side that has won, or null if none has, and why. */
  end = null;
  #pads = [MIDDLE, MIDDLE];
  #wanted = [MIDDLE, MIDDLE];
  #ball;
  #random;
  /** When each player was last heard of, and since when they are away, if they are. */
  #heard;
  #away = [null, null];
  #readyUntil;
  #advancedTo;
  /** When the match's own clock was zero. */
  #origin;
  /** The side for which the house plays, if it does. */
  #house;

  /**
   * @param {number} now
   * @param {{house?: number, random?: () => number}} [options]
   */
  constructor(now, { house, random = Math.random } = {}) {
    this.#random = random;
    this.#house = house;
    this.#ball = serve(random() < 0.5 ? LEFT : RIGHT, random());
    this.#heard = [now, now];
    this.#readyUntil = now + READY;
    this.#advancedTo = now;
    this.#origin = now;
  }

  /** A match that goes on from the state that it has published; its players are away until they are heard. */
  static restore(state, now, options) {
    const match = new Match(now, options);
    const [x, y, vx, vy] = state.ball;
    match.#ball = { x, y, vx, vy };
    match.#pads = [...state.pads];
    match.#wanted = [...state.pads];
    match.score = [...state.score];
    match.hits = state.hits;
    match.end = state.end ?? null;
    match.#origin = now - state.t;
    for (const side of [LEFT, RIGHT]) match.lose(side, now);
    return match;
  }

  get phase() {
    if (this.end) return 'over';
    if (this.#away.some((since) => since !== null)) return 'paused';
    return this.#advancedTo < this.#readyUntil ? 'ready' : 'rally';
  }

  /** A player wants the pad there, and is there. */
  want(side, y, now) {
    this.hear(side, now);
    this.#wanted[side] = onCourt(y);
  }

  /** A player is there; after a pause the ball waits for a moment. */
  hear(side, now) {
    this.#heard[side] = now;
    if (this.#away[side] === null) return;
    this.#away[side] = null;
    this.#readyUntil = now + READY;
  }

  /** A player's session has ended, or the player has been silent for too long. */
  lose(side, now) {
    if (side !== this.#house) this.#away[side] ??= now;
  }

  /** A player gives up. */
  leave(side) {
    this.end ??= { winner: other(side), why: 'left' };
  }

  /** Lets happen what happens until now. */
  advance(now) {
    this.#lookForPlayers(now);
    const passed = Math.min(now - this.#advancedTo, LONGEST_JUMP);
    this.#advancedTo = now;
    if (this.phase === 'ready') this.#movePads(passed);
    for (let left = passed; left > 0 && this.phase === 'rally'; left -= STEP) this.#step(Math.min(left, STEP), now);
  }

  /** What everybody may see, and from which the match can be restored. */
  state(now) {
    const { x, y, vx, vy } = this.#ball;
    const { phase } = this;
    return {
      t: Math.round(now - this.#origin),
      phase,
      ball: [x, y, vx, vy].map(round),
      pads: this.#pads.map(round),
      score: this.score,
      hits: this.hits,
      ...(phase === 'ready' && { ready: Math.round(this.#readyUntil - now) }),
      ...(phase === 'paused' && { away: this.#whoIsAway(), left: Math.max(0, Math.round(this.#deadline() - now)) }),
      ...(this.end && { end: this.end }),
    };
  }

  #whoIsAway() {
    return [LEFT, RIGHT].filter((side) => this.#away[side] !== null);
  }

  #deadline() {
    return Math.min(...this.#whoIsAway().map((side) => this.#away[side])) + PATIENCE;
  }

  #lookForPlayers(now) {
    if (this.end) return;
    if (this.#house !== undefined) this.#heard[this.#house] = now;
    for (const side of [LEFT, RIGHT]) if (now - this.#heard[side] > SILENCE) this.lose(side, now);
    const away = this.#whoIsAway();
    if (away.length === 0 || now < this.#deadline()) return;
    this.end = { winner: away.length === 1 ? other(away[0]) : null, why: 'gone' };
  }

  #movePads(passed) {
    const seconds = passed / 1000;
    this.#pads = this.#pads.map((y, side) => {
      if (side === this.#house) return movePad(y, this.#houseWants(y), seconds * HOUSE);
      return movePad(y, this.#wanted[side], seconds);
    });
  }

  /** The house follows the ball when it comes, and does not tremble. */
  #houseWants(y) {
    const comes = this.#ball.vx > 0 === (this.#house === RIGHT);
    if (!comes) return y;
    return Math.abs(this.#ball.y - y) < PAD.height / 4 ? y : this.#ball.y;
  }

  #step(passed, now) {
    this.#movePads(passed);
    const { ball, hit, out } = moveBall(this.#ball, this.#pads, passed / 1000);
    this.#ball = ball;
    if (hit) this.hits += 1;
    if (out !== undefined) this.#point(other(out), now);
  }

  #point(side, now) {
    this.score[side] += 1;
    if (this.score[side] >= POINTS) {
      this.end = { winner: side, why: 'points' };
      return;
    }
    this.hits = 0;
    this.#ball = serve(other(side), this.#random());
    this.#readyUntil = now + READY;
  }
}
