// The section of the main README that says how fast the servers are; does no I/O.
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
  ratio,
  scaling,
  value,
} from './figures.mjs';
import { grid, named } from './table.mjs';

const BEGIN = '<!-- compare -->';
const END = '<!-- /compare -->';

/** The README with the section anew; what is outside of the markers stays. */
export function withSection(readme, results) {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md needs the lines ${BEGIN} and ${END}`);
  const before = readme.slice(0, begin + BEGIN.length);
  return `${before}\n${section(results)}\n${readme.slice(end)}`;
}

function section(results) {
  return [
    '![CPU time a delivery, memory and set-up of a client, by server](benches/compare/results.svg)',
    '',
    summary(results),
    '',
    ...sentences(results),
    '',
    `Medians of ${results.rounds} ${results.rounds === 1 ? 'round' : 'rounds'}, ${results.date}, ${results.machine};`,
    `load averages after each: ${results.loadAverages.join(', ')} (this alone: 1 to 2).`,
  ].join('\n');
}

function summary(results) {
  const columns = [
    ['fan-out', LONG_POLLING, FAN_OUT.cpu, 1],
    ['fan-out', WEBSOCKET, FAN_OUT.cpu, 1],
    ['rooms', LONG_POLLING, ROOMS.cpu, 1],
    ['rooms p99, ms', LONG_POLLING, ROOMS.p99, 1000],
    ['KiB a client', LONG_POLLING, MEMORY, 1024],
    ['KiB a client', WEBSOCKET, MEMORY, 1024],
    ['set-up', LONG_POLLING, SET_UP, 1],
    ['set-up', WEBSOCKET, SET_UP, 1],
  ];
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

/** What the table does not say at once. */
function sentences(results) {
  const against = (other, transport, figure) => digits(ratio(results, OWN, other, transport, figure), 2);
  const lines = [
    'Fan-out and rooms: the server\'s CPU time a delivery, in µs; set-up: its CPU time in µs to take a',
    'client on, from the connection to the first held connect. The floor is the least code that makes the',
    'same system calls, and no server.',
  ];
  const floors = TWO_CORES.map(({ load, transport, apart }) => [load, against(FLOOR, transport, apart.cpu)]);
  const times = floors.filter(([, found]) => found).map(([load, found]) => `${found} (${load})`);
  if (times.length > 0) lines.push(`${OWN} takes so many times the floor's CPU time: ${times.join(', ')}.`);
  const late = against(NCHAN, LONG_POLLING, ROOMS.p99);
  if (late) lines.push(`Its p99 in rooms is ${late} times nchan's.`);
  const two = TWO_CORES.map(each => [each.load, digits(scaling(results, each), 2)]).filter(([, found]) => found);
  if (two.length > 0) {
    const worth = two.map(([load, found]) => `${found} (${load})`).join(', ');
    lines.push(`By CPU time a delivery, two busy cores do the work of ${worth}.`);
  }
  return lines;
}
