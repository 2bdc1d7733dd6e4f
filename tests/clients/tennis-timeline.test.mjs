// Between the states of a match the page shows a course of the ball, whenever these come.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Timeline } from '../../src/demo/pages/tennis-timeline.js';

const COURT = { height: 90, radius: 2 };
const BEGAN = 5_000;

/** A ball that flies to the right from x = 0, 50 units in a second. */
const at = (t, more = {}) => {
  const state = { t, phase: 'rally', score: [0, 0], hits: 0, pads: [45, t / 100], ball: [t / 20, 45, 50, 0] };
  return { ...state, ...more };
};

/** A timeline to which states have come that were said each 40 ms, each after so many ms. */
function timeline(count, delayOf = () => 20) {
  const line = new Timeline(COURT);
  for (let index = 0; index < count; index += 1) {
    const t = index * 40;
    line.add(at(t), BEGAN + t + delayOf(index));
  }
  return line;
}

test('nothing is to be seen before the first state, and then that', () => {
  const line = new Timeline(COURT);
  assert.equal(line.at(BEGAN), null);
  line.add(at(0), BEGAN);
  assert.deepEqual(line.at(BEGAN).ball, [0, 45]);
});

test('ball and pads go evenly from state to state, somewhat later than they were said', () => {
  const line = timeline(50);
  let before = line.at(BEGAN + 1_800).ball[0];
  for (let now = 1_810; now < 1_980; now += 10) {
    const { ball, pads } = line.at(BEGAN + now);
    assert.ok(Math.abs(ball[0] - before - 0.5) < 1e-6, `at ${now}: ${before} to ${ball[0]}`);
    assert.ok(Math.abs(pads[1] - ball[0] / 5) < 1e-6);
    [before] = ball;
  }
});

test('it waits longer when states come unevenly, and no longer than it must', () => {
  const even = timeline(100);
  const uneven = timeline(100, (index) => (index % 5 === 0 ? 120 : 20));
  const now = BEGAN + 3_990;
  assert.ok(uneven.at(now).ball[0] < even.at(now).ball[0] - 3);
  assert.ok(even.at(now).ball[0] > (3_990 - 120) / 20);
});

test('without news the ball flies on for a moment, bounces, and then stands', () => {
  const line = new Timeline(COURT);
  line.add(at(0, { ball: [80, 5, 0, -40] }), BEGAN);
  const heights = [0, 100, 150, 200, 250, 10_000].map((passed) => line.at(BEGAN + 45 + passed).ball[1]);
  assert.ok(heights[1] < heights[0] && heights[3] > 2 && heights[4] > heights[3], String(heights));
  assert.ok(heights.every((y) => y >= 2 && y <= 88));
  assert.equal(heights[4], heights[5]);
});

test('the ball that is served anew does not fly through the court', () => {
  const line = new Timeline(COURT);
  line.add(at(0, { ball: [161, 45, 50, 0] }), BEGAN);
  line.add(at(40, { phase: 'ready', score: [1, 0], ball: [80, 45, 50, 0] }), BEGAN + 40);
  for (let now = 0; now < 80; now += 5) {
    const [x] = line.at(BEGAN + now).ball;
    assert.ok(x >= 160 || x === 80, `${x} at ${now}`);
  }
  assert.equal(line.at(BEGAN + 100).ball[0], 80);
});

test('it goes on when the server of the game was away, or begins again a little before', () => {
  for (const [t, after] of [[2_040, 60_000], [1_900, 500]]) {
    const line = timeline(50);
    line.add(at(t), BEGAN + 2_000 + after);
    line.add(at(t + 40), BEGAN + 2_040 + after);
    assert.deepEqual(line.at(BEGAN + 3_000 + after).ball.map(Math.round), [Math.round((t + 290) / 20), 45]);
  }
});
