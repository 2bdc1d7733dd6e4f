// What is made of results: ratios by round, two cores, and a README that keeps the rest of its text.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { drawing } from './chart.mjs';
import { FAN_OUT, FLOOR, LONG_POLLING, OWN, TWO_CORES, ratio, scaling, value } from './figures.mjs';
import { overview, withSection } from './section.mjs';
import { tables } from './table.mjs';

/** Fan-out by long-polling: the CPU time of each round. */
const rows = (server, scenario, ...times) =>
  times.map((time, round) => ({
    round,
    server,
    scenario,
    transport: LONG_POLLING,
    ...(time === undefined ? { failed: 'it does not start' } : { server_cpu_us_per_delivery: time }),
  }));

const RESULTS = {
  date: '2026-01-02',
  machine: 'a machine',
  rounds: 3,
  clients: 1000,
  messages: 100,
  rooms: 100,
  rate: 1000,
  roomMessages: 10_000,
  idleClients: 10_000,
  payload: 100,
  servers: [FLOOR, OWN].map(name => ({ name, version: '1' })),
  loadAverages: [1, 1.5, 2],
  measured: [
    ...rows(FLOOR, 'fan-out', 10, undefined, 20),
    ...rows(OWN, 'fan-out', 20, 30, 60),
    ...rows(OWN, 'fan-out on both cores', 25, 30, 80),
  ],
};

test('a ratio is the median of the rounds that have both', () => {
  assert.equal(value(RESULTS, OWN, LONG_POLLING, FAN_OUT.cpu), 30);
  assert.equal(ratio(RESULTS, OWN, FLOOR, LONG_POLLING, FAN_OUT.cpu), 2.5);
  assert.equal(ratio(RESULTS, OWN, 'another', LONG_POLLING, FAN_OUT.cpu), undefined);
});

test('two cores are worth two, less what a delivery costs more', () => {
  assert.equal(scaling(RESULTS, TWO_CORES[0]), 1.6);
  assert.equal(scaling(RESULTS, TWO_CORES[1]), undefined);
});

test('the section stands between its marks, and nothing else changes', () => {
  const readme = 'before\n<!-- compare -->\nold\n<!-- /compare -->\nafter\n';
  const once = withSection(readme, RESULTS);
  assert.match(once, /^before\n<!-- compare -->\n!\[.* 2\.5 \(fan-out, long-polling\)\..*\n<!-- \/compare -->\nafter\n$/s);
  assert.doesNotMatch(once, /old|undefined|NaN/);
  assert.equal(withSection(once, RESULTS), once);
  assert.throws(() => withSection('no marks', RESULTS));
});

test('the overview has the figures of all servers', () => {
  const made = overview(RESULTS);
  assert.match(made, /^## Overview\n.*\| 30 \|/s);
  assert.doesNotMatch(made, /undefined|NaN/);
  assert.match(made.replaceAll('\n', ' '), /Two busy cores .* 1\.6 \(fan-out, long-polling\)\./);
});

test('what a busy machine makes worthless is not in the overview', () => {
  const measured = RESULTS.measured.map(row => ({ ...row, machine_others_percent: 40 }));
  const made = overview({ ...RESULTS, measured });
  assert.match(made.replaceAll('\n', ' '), /The machine was busy/);
  assert.doesNotMatch(made, /Two busy cores/);
});

test('figures that were not measured are left out', () => {
  for (const made of [tables(RESULTS), drawing(RESULTS)]) assert.doesNotMatch(made, /undefined|NaN/);
  assert.match(tables(RESULTS), /Failed, and left out: floor, fan-out, long-polling, round 2/);
});
