// What the figures of all servers come to: a section of the main README, and the beginning of the results; does no I/O.
import {
  FAN_OUT,
  FLOOR,
  LONG_POLLING,
  MEMORY,
  NCHAN,
  OWN,
  ROOMS,
  SET_UP,
  TWO_CORES,
  WEBSOCKET,
  digits,
  others,
  ratio,
  scaling,
  value,
} from './figures.mjs';
import { grid, named } from './table.mjs';

const BEGIN = '<!-- compare -->';
const END = '<!-- /compare -->';
/** The longest line of text, as elsewhere in the README. */
const LINE = 104;
const BUSY =
  'The machine was busy with other things during the run. Latencies, and the gain from a second core, are ' +
  'therefore left out here.';

/** The README with the section anew; what is outside of the markers stays. */
export function withSection(readme, results) {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md needs the lines ${BEGIN} and ${END}`);
  const before = readme.slice(0, begin + BEGIN.length);
  return `${before}\n${section(results)}\n${readme.slice(end)}`;
}

function section(results) {
  const about = [
    'Shorter is better. The floor is no server, but the least code that makes the same system calls.',
    `${OWN} takes the following multiples of its CPU time: ${againstFloor(results)}.`,
  ];
  return [
    '![CPU time a delivery, memory and set-up of a client, by server](benches/compare/results.svg)',
    '',
    ...wrapped(about.join(' ')),
    '',
    ...wrapped(made(results)),
  ].join('\n');
}

/** The figures of all servers in one table, with what they mean. */
export function overview(results) {
  const about = [
    "Fan-out and rooms: the server's CPU time per delivery, in µs. Set-up: its CPU time, in µs, to take on",
    'a client, from the connection to the first held connect.',
    ...(isQuiet(results) ? late(results) : [BUSY]),
  ];
  return ['## Overview', '', summary(results), '', ...wrapped(about.join(' ')), '', ''].join('\n');
}

/** How and when the figures came about. */
function made({ rounds, date, machine, loadAverages }) {
  return [
    `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}, ${date}, ${machine};`,
    `load averages after each: ${loadAverages.join(', ')} (the run alone makes 1 to 2).`,
  ].join(' ');
}

function summary(results) {
  const columns = [
    ['fan-out', LONG_POLLING, FAN_OUT.cpu, 1],
    ['fan-out', WEBSOCKET, FAN_OUT.cpu, 1],
    ['rooms', LONG_POLLING, ROOMS.cpu, 1],
    ['KiB a client', LONG_POLLING, MEMORY, 1024],
    ['KiB a client', WEBSOCKET, MEMORY, 1024],
    ['set-up', LONG_POLLING, SET_UP, 1],
    ['set-up', WEBSOCKET, SET_UP, 1],
  ];
  if (isQuiet(results)) columns.splice(3, 0, ['rooms, p99 in ms', LONG_POLLING, ROOMS.p99, 1000]);
  const measured = columns.filter(([, transport, figure]) => value(results, OWN, transport, figure) !== undefined);
  const found = results.servers.map(({ name }) => [
    named(name),
    ...measured.map(([, transport, figure, by]) => {
      const median = value(results, name, transport, figure);
      return median === undefined ? '–' : digits(median / by);
    }),
  ]);
  const heads = measured.map(([head, transport]) => `${head}, ${transport === WEBSOCKET ? 'WebSocket' : transport}`);
  return grid(['server'], heads, found);
}

/** Whether the machine did little else, so that latencies and what is made of two cores mean something. */
function isQuiet(results) {
  return (others(results) ?? 0) < 10;
}

function againstFloor(results) {
  const of = ({ transport, apart }) => ratio(results, OWN, FLOOR, transport, apart.cpu);
  return listed(TWO_CORES.map(each => [each.load, of(each)]));
}

/** What holds only if nobody disturbed it. */
function late(results) {
  const lines = [];
  const p99 = ratio(results, OWN, NCHAN, LONG_POLLING, ROOMS.p99);
  if (p99 !== undefined) lines.push(`${OWN}'s p99 in rooms is ${digits(p99, 2)} times nchan's.`);
  const worth = listed(TWO_CORES.map(each => [each.load, scaling(results, each)]));
  if (worth) lines.push(`Two busy cores deliver this many times as much as one: ${worth}.`);
  return lines;
}

/** Numbers and what each is of; those that are not known are left out. */
function listed(pairs) {
  const known = pairs.filter(([, number]) => number !== undefined);
  return known.map(([what, number]) => `${digits(number, 2)} (${what})`).join(', ');
}

/** Lines of words. */
function wrapped(text) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last.length + word.length < LINE) lines[lines.length - 1] = last ? `${last} ${word}` : word;
    else lines.push(word);
  }
  return lines;
}
