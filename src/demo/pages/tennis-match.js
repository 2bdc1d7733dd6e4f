/** One match as this page shows it: the court, the score, what is going on, and the own pad, which moves at once. */
import { Controls } from './tennis-controls.js';
import { Court } from './tennis-court.js';
import { Timeline } from './tennis-timeline.js';

/** How often the own pad is said while it moves, and while it does not (ms). */
const MOVED_EVERY = 50;
const STILL_EVERY = 1_000;
const NEWSLESS = 'The game’s server is away. The match goes on when it is back.';
/** A frame after a long pause does not make the pad jump (s). */
const LONGEST_FRAME = 0.1;

const find = (what) => document.querySelector(what);

export class MatchView {
  #section = find('.match');
  #canvas = find('.court');
  #court = new Court(this.#canvas);
  #controls;
  #say;
  #rules = null;
  #match = null;
  /** The side of who looks, or -1. */
  #side = -1;
  #timeline = null;
  /** Where the own pad is to be seen. */
  #own = 0;
  #said = { y: NaN, at: 0 };
  #isNewsless = false;
  #canPlayAgain = false;
  #frameAt = 0;

  /** @param {(y: number) => void} say that the own pad is wanted there */
  constructor(say) {
    this.#say = say;
    const buttons = [find('.hold .up'), find('.hold .down')];
    this.#controls = new Controls(this.#canvas, (clientY) => this.#court.heightOf(clientY), buttons);
    const draw = (now) => {
      this.#draw(now);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    // Pages that nobody sees have no frames, and their players are there all the same.
    setInterval(() => this.#tell(performance.now()), MOVED_EVERY);
  }

  /**
   * @param {object | null} match as the lobby has it; null is none
   * @param {number} side of who looks, or -1
   * @param {object} rules what the game's server says of the court
   * @param {object} now
   * @param {boolean} now.isNewsless whether nothing is heard of it for now
   * @param {boolean} now.canPlayAgain whether the other player is still there
   */
  show(match, side, rules, { isNewsless, canPlayAgain }) {
    this.#isNewsless = isNewsless;
    this.#canPlayAgain = canPlayAgain;
    this.#section.hidden = match === null;
    const isAnother = match && match.id !== this.#match?.id;
    this.#match = match;
    this.#side = side;
    if (isAnother) this.#begin(rules);
    if (match) this.#write();
  }

  /** Takes a state of the match. */
  add(state) {
    if (!this.#match) return;
    if (!this.#timeline.last && this.#side >= 0) this.#own = this.#controls.wanted = state.pads[this.#side];
    this.#timeline.add(state, performance.now());
    this.#write();
  }

  #begin(rules) {
    this.#rules = rules;
    const { width, height, radius, pad } = rules;
    this.#court.size = { width, height, radius, pad: pad.height, face: pad.face };
    this.#timeline = new Timeline(rules);
    this.#canvas.focus({ preventScroll: true });
    this.#section.scrollIntoView({ block: 'nearest' });
  }

  get #isPlaying() {
    return this.#side >= 0 && this.#phase !== 'over';
  }

  get #phase() {
    return this.#timeline?.last?.phase;
  }

  #draw(now) {
    const seconds = Math.min((now - this.#frameAt) / 1000, LONGEST_FRAME);
    this.#frameAt = now;
    const seen = this.#match && this.#timeline.at(now);
    if (!seen) return;
    const { state, ball } = seen;
    const pads = [...seen.pads];
    if (this.#isPlaying) pads[this.#side] = this.#moveOwn(seconds, pads[this.#side]);
    this.#court.draw({ ball, pads, flies: state.phase === 'rally', own: this.#side }, overlay(state));
  }

  /** Where the own pad is: it does what the game's server will do with what it is told. */
  #moveOwn(seconds, known) {
    const { pad, height } = this.#rules;
    const controls = this.#controls;
    controls.advance(seconds, pad.speed, [pad.height / 2, height - pad.height / 2]);
    if (this.#phase === 'paused') return (this.#own = known);
    const reach = pad.speed * seconds;
    this.#own += Math.min(Math.max(controls.wanted - this.#own, -reach), reach);
    return this.#own;
  }

  #tell(now) {
    this.#controls.isOn = this.#match !== null && this.#isPlaying;
    if (!this.#controls.isOn) return;
    const y = Math.round(this.#controls.wanted * 10) / 10;
    if (y === this.#said.y && now - this.#said.at < STILL_EVERY) return;
    this.#said = { y, at: now };
    this.#say(y);
  }

  #write() {
    const state = this.#timeline.last;
    const names = this.#match.names;
    const score = state?.score ?? this.#match.score;
    set('.points', `${score[0]} : ${score[1]}`);
    set('.scoreboard .unseen', `${names[0]} ${score[0]}, ${names[1]} ${score[1]}`);
    ['left', 'right'].forEach((end, side) => {
      const name = find(`.scoreboard .${end}`);
      set(name, names[side] + (side === this.#side ? ' (you)' : ''));
      name.classList.toggle('away', state?.phase === 'paused' && state.away.includes(side));
    });
    set('.phase', this.#isNewsless ? NEWSLESS : words(state, this.#match, this.#side));
    const hits = state?.phase === 'rally' ? state.hits : 0;
    set('.hits', hits > 0 ? `${hits} ${hits === 1 ? 'hit' : 'hits'}` : '');
    this.#offer(state);
  }

  #offer(state) {
    const isOver = state?.phase === 'over' || this.#match.over;
    find('.again').hidden = !isOver || this.#side < 0 || !this.#canPlayAgain;
    set('.leave', isOver || this.#side < 0 ? 'Back to the lobby' : 'Give up');
    for (const part of ['.hold', '.keys']) find(part).hidden = isOver || this.#side < 0;
    this.#canvas.classList.toggle('playing', !isOver && this.#side >= 0);
  }
}

/** What stands over the court. */
function overlay({ phase, ready, left, end }) {
  if (phase === 'ready') return String(Math.max(1, Math.ceil(ready / 1000)));
  if (phase === 'paused') return `waiting ${Math.ceil(left / 1000)} s`;
  return end ? 'game over' : '';
}

/** What is going on. */
function words(state, { names, over }, side) {
  if (!state) return 'Waiting for the court …';
  const { phase, away, end, score } = state;
  if (over && !end) return 'This match is over.';
  if (phase === 'ready') return 'Get ready …';
  if (phase === 'rally') return 'The ball is in play.';
  if (phase === 'paused') return paused(away, names, side);
  if (end.winner === null) return 'Both players were away for too long. Nobody has won.';
  const lost = 1 - end.winner;
  const won = side === end.winner ? 'You have won' : `${names[end.winner]} has won`;
  if (end.why === 'points') return `${won}, ${Math.max(...score)} to ${Math.min(...score)}.`;
  if (end.why === 'left') return `${side === lost ? 'You have' : `${names[lost]} has`} given up. ${won}.`;
  return `${side === lost ? 'You were' : `${names[lost]} was`} away for too long. ${won}.`;
}

function paused(away, names, side) {
  if (away.length === 2) return 'The match waits for its players.';
  if (away[0] === side) return 'You were away. The match goes on in a moment.';
  return `${names[away[0]]} has lost the connection. The match waits.`;
}

/** Sets a text if it is another: what is said aloud is not said again. */
function set(where, text) {
  const element = typeof where === 'string' ? find(where) : where;
  if (element.textContent !== text) element.textContent = text;
}
