import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Match, PATIENCE, POINTS, READY, SILENCE } from './match.mjs';
import { LEFT, RIGHT } from './physics.mjs';

const TICK = 20;

/** A match, the time that passes in it, and two players who are there, each of whom may follow the ball. */
class Court {
  now = 1_000;
  follows = [false, false];
  isThere = [true, true];

  constructor(match) {
    this.match = match ?? new Match(this.now, { random: () => 0.4 });
  }

  get state() {
    return this.match.state(this.now);
  }

  until(isSo, most = 100_000) {
    for (const end = this.now + most; !isSo(this.state); ) {
      assert.ok(this.now <= end, `it comes: ${isSo}`);
      this.pass(TICK);
    }
  }

  pass(time) {
    for (const end = this.now + time; this.now < end; this.now += TICK) {
      for (const side of [LEFT, RIGHT]) {
        if (!this.isThere[side]) continue;
        if (this.follows[side]) this.match.want(side, this.state.ball[1], this.now);
        else this.match.hear(side, this.now);
      }
      this.match.advance(this.now);
    }
  }
}

test('the ball waits, and then it flies', () => {
  const court = new Court();
  assert.deepEqual([court.state.phase, court.state.ready], ['ready', READY]);
  const { ball } = court.state;
  court.until(({ phase }) => phase === 'rally');
  assert.ok(court.now >= 1_000 + READY);
  court.pass(100);
  assert.notDeepEqual(court.state.ball, ball);
});

test('who follows the ball hits it, and who does not loses the points and the match', () => {
  const court = new Court();
  court.follows = [true, true];
  court.until(({ hits }) => hits >= 10);
  assert.deepEqual(court.state.score, [0, 0]);
  court.follows = [true, false];
  court.until(({ score }) => score[LEFT] === 1);
  assert.equal(court.state.phase, 'ready');
  court.until(({ phase }) => phase === 'over');
  assert.equal(court.state.score[LEFT], POINTS);
  assert.deepEqual(court.state.end, { winner: LEFT, why: 'points' });
});

test('it pauses while a player is silent, keeps the ball, and goes on when that player is back', () => {
  const court = new Court();
  court.follows = [true, true];
  court.until(({ hits }) => hits >= 1);
  court.isThere[RIGHT] = false;
  court.until(({ phase }) => phase === 'paused', SILENCE + TICK);
  const { ball, score, away } = court.state;
  assert.deepEqual(away, [RIGHT]);
  court.pass(PATIENCE / 2);
  assert.deepEqual(court.state.ball, ball);
  court.isThere[RIGHT] = true;
  court.until(({ phase }) => phase === 'ready', TICK);
  assert.deepEqual([court.state.ball, court.state.score], [ball, score]);
  court.until(({ phase }) => phase === 'rally', READY + TICK);
});

test('who does not come back has lost, and without both nobody has won', () => {
  for (const [gone, winner] of [[[RIGHT], LEFT], [[LEFT, RIGHT], null]]) {
    const court = new Court();
    for (const side of gone) {
      court.isThere[side] = false;
      court.match.lose(side, court.now);
    }
    assert.equal(court.state.phase, 'paused');
    court.until(({ phase }) => phase === 'over', PATIENCE + TICK);
    assert.deepEqual(court.state.end, { winner, why: 'gone' });
  }
});

test('who leaves has lost', () => {
  const { match } = new Court();
  match.leave(LEFT);
  assert.deepEqual(match.end, { winner: RIGHT, why: 'left' });
});

test('it goes on from a state that was published', () => {
  const court = new Court();
  court.follows = [true, false];
  court.until(({ score, hits }) => score[LEFT] === 2 && hits === 1);
  const state = JSON.parse(JSON.stringify(court.state));
  const later = new Court(Match.restore(state, 1_000));
  const { phase, away, t, left, ...same } = later.state;
  assert.deepEqual([phase, away, left], ['paused', [LEFT, RIGHT], PATIENCE]);
  assert.equal(t, state.t);
  delete state.t;
  delete state.phase;
  assert.deepEqual(same, state);
  later.follows = [true, false];
  later.until(({ score }) => score[LEFT] === 3);
});

test('a process that slept does not move the ball far', () => {
  const court = new Court();
  court.until(({ phase }) => phase === 'rally');
  const [before] = court.state.ball;
  court.now += 1_000;
  court.match.advance(court.now);
  assert.ok(Math.abs(court.state.ball[0] - before) < 20);
});

test('the house plays, and can be beaten', () => {
  const court = new Court(new Match(1_000, { house: RIGHT, random: () => 0.3 }));
  court.isThere[RIGHT] = false;
  court.follows = [true, false];
  court.until(({ hits }) => hits >= 2);
  court.until(({ phase }) => phase === 'over', 10 * 60_000);
  assert.equal(court.state.end.winner, LEFT);
});
