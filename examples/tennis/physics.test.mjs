import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BALL, COURT, LEFT, PAD, RIGHT, moveBall, movePad, onCourt, serve } from './physics.mjs';

const MIDDLE = COURT.height / 2;
const STEP = 0.01;

/** Moves a ball until a pad hits it or it is out. */
function fly(ball, pads) {
  for (let steps = 0; steps < 10_000; steps += 1) {
    const moved = moveBall(ball, pads, STEP);
    ball = moved.ball;
    assert.ok(ball.y >= BALL.radius && ball.y <= COURT.height - BALL.radius, 'between the walls');
    if (moved.hit || moved.out !== undefined) return moved;
  }
  throw new Error('it flies for ever');
}

test('a ball is served from the middle, towards the side that is said', () => {
  for (const random of [0, 0.3, 0.999]) {
    const [left, right] = [serve(LEFT, random), serve(RIGHT, random)];
    assert.ok(left.vx < 0 && right.vx > 0);
    assert.deepEqual([left.x, left.y], [COURT.width / 2, MIDDLE]);
    assert.ok(Math.abs(Math.hypot(left.vx, left.vy) - BALL.speed) < 1e-9);
  }
});

test('it bounces off a wall and keeps its speed', () => {
  const ball = { x: 80, y: BALL.radius + 0.1, vx: 30, vy: -60 };
  const { ball: moved } = moveBall(ball, [MIDDLE, MIDDLE], STEP);
  assert.deepEqual([moved.vx, moved.vy], [30, 60]);
  assert.ok(moved.y >= BALL.radius);
});

test('a pad in its way sends it back, faster, and up or down by where it was hit', () => {
  for (const side of [LEFT, RIGHT]) {
    const ball = { ...serve(side, 0.5), vy: 0 };
    for (const [offset, sign] of [[-PAD.height / 3, 1], [0, 0], [PAD.height / 3, -1]]) {
      const { ball: back, hit } = fly(ball, [MIDDLE + offset, MIDDLE + offset]);
      assert.ok(hit);
      assert.equal(Math.sign(back.vx), side === LEFT ? 1 : -1);
      assert.equal(Math.sign(back.vy), sign);
      assert.ok(Math.abs(Math.hypot(back.vx, back.vy) - BALL.speed * BALL.faster) < 1e-9);
    }
  }
});

test('it never becomes faster than it may', () => {
  const { ball } = fly({ x: 80, y: MIDDLE, vx: BALL.fastest, vy: 0 }, [MIDDLE, MIDDLE]);
  assert.ok(Math.hypot(ball.vx, ball.vy) <= BALL.fastest + 1e-9);
});

test('a pad elsewhere lets it out at its own side', () => {
  for (const side of [LEFT, RIGHT]) {
    const { hit, out } = fly({ ...serve(side, 0.5), vy: 0 }, [PAD.height / 2, PAD.height / 2]);
    assert.deepEqual([hit, out], [undefined, side]);
  }
});

test('a ball behind a pad is not hit any more', () => {
  const ball = { x: PAD.face - 1, y: MIDDLE, vx: -50, vy: 0 };
  assert.equal(fly(ball, [MIDDLE, MIDDLE]).out, LEFT);
});

test('a pad goes where it is wanted, no faster than it may, and stays on the court', () => {
  assert.equal(movePad(40, 90, 0.1), 40 + PAD.speed / 10);
  assert.equal(movePad(40, 39, 0.1), 39);
  assert.equal(movePad(10, -1000, 5), PAD.height / 2);
  assert.equal(onCourt(1e9), COURT.height - PAD.height / 2);
});
