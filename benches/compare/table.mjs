// The figures of a run as Markdown tables, a row for each server and transport; does no I/O.
import {
  FAN_OUT,
  FLOOR,
  LIVE_HEAP,
  LONG_POLLING,
  MEMORY,
  NCHAN,
  OWN,
  ROOMS,
  SET_UP,
  SET_UP_RATE,
  TRANSPORTS,
  TWO_CORES,
  digits,
  range,
  ratio,
  scaling,
  value,
} from './figures.mjs';

/** All tables, and what they were measured with. */
export function tables(results) {
  const parts = [
    `## Fan-out\n\n${fanOut(results)}`,
    `## Rooms\n\n${rooms(results)}`,
    `## Idle clients\n\n${idle(results)}`,
    `## Two cores\n\n${twoCores(results)}`,
    `## Notes\n\n${notes(results).join('\n')}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

/** A table whose first columns are text, and the rest numbers. */
export function grid(texts, numbers, rows) {
  const line = cells => `| ${cells.join(' | ')} |`;
  const rule = [...texts.map(() => '---'), ...numbers.map(() => '--:')];
  return [line([...texts, ...numbers]), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}

export const named = name => (name === OWN ? `**${name}**` : name);

/** What a cell says of one server and transport. */
function cells(results, name, transport) {
  const about = [results, name, transport];
  return {
    figure: (what, by = 1, most = 1) => {
      const found = value(...about, what);
      return digits(found === undefined ? undefined : found / by, most);
    },
    spread: what => {
      const found = range(...about, what);
      return found ? ` (${digits(found[0])}–${digits(found[1])})` : '';
    },
    against: (other, what) => digits(ratio(results, name, other, transport, what), 2),
  };
}

/** A row for each server and transport that has the figure. */
function rows(results, figure, transports, row) {
  const all = transports.flatMap(transport => results.servers.map(({ name }) => [transport, name]));
  const found = all.filter(([transport, name]) => value(results, name, transport, figure) !== undefined);
  return found.map(([transport, name]) => row(transport, name, cells(results, name, transport)));
}

function fanOut(results) {
  const found = rows(results, FAN_OUT.cpu, TRANSPORTS, (transport, name, { figure, spread, against }) => [
    transport,
    named(name),
    figure(FAN_OUT.cpu) + spread(FAN_OUT.cpu),
    against(FLOOR, FAN_OUT.cpu),
    against(OWN, FAN_OUT.cpu),
    figure(FAN_OUT.p50, 1000),
    figure(FAN_OUT.p99, 1000),
    figure(FAN_OUT.rate),
    figure(FAN_OUT.loadCpu),
    figure(FAN_OUT.others),
  ]);
  const numbers = ['CPU µs a delivery', '÷ floor', '÷ Mirant', 'latency p50 ms', 'p99 ms', 'deliveries/s', 'load: CPU µs a delivery', 'machine busy with others, %'];
  return grid(['transport', 'server'], numbers, found);
}

function rooms(results) {
  const found = rows(results, ROOMS.cpu, [LONG_POLLING], (transport, name, { figure, spread, against }) => [
    named(name),
    figure(ROOMS.cpu) + spread(ROOMS.cpu),
    against(FLOOR, ROOMS.cpu),
    against(OWN, ROOMS.cpu),
    figure(ROOMS.p50, 1000),
    figure(ROOMS.p90, 1000),
    figure(ROOMS.p99, 1000) + spreadMs(results, name, transport),
    against(NCHAN, ROOMS.p99),
    figure(ROOMS.rate),
    figure(ROOMS.loadCpu),
    figure(ROOMS.others),
  ]);
  const numbers = ['CPU µs a delivery', '÷ floor', '÷ Mirant', 'latency p50 ms', 'p90 ms', 'p99 ms', 'p99 ÷ nchan', 'deliveries/s', 'load: CPU µs a delivery', 'machine busy with others, %'];
  return grid(['server'], numbers, found);
}

function spreadMs(results, name, transport) {
  const found = range(results, name, transport, ROOMS.p99);
  return found ? ` (${digits(found[0] / 1000)}–${digits(found[1] / 1000)})` : '';
}

function idle(results) {
  const found = rows(results, MEMORY, TRANSPORTS, (transport, name, { figure, spread, against }) => [
    transport,
    named(name),
    figure(MEMORY, 1024, 2),
    against(FLOOR, MEMORY),
    against(OWN, MEMORY),
    figure(SET_UP) && figure(SET_UP) + spread(SET_UP),
    against(FLOOR, SET_UP),
    against(OWN, SET_UP),
    figure(SET_UP_RATE),
  ]);
  const numbers = ['memory a client, KiB', '÷ floor', '÷ Mirant', 'set-up, CPU µs a client', '÷ floor', '÷ Mirant', 'clients set up/s'];
  return grid(['transport', 'server'], numbers, found);
}

function twoCores(results) {
  const measured = TWO_CORES.filter(({ transport, free }) => value(results, OWN, transport, free.cpu) !== undefined);
  const found = measured.map(({ load, transport, apart, free }) => {
    const { figure } = cells(results, OWN, transport);
    return [
      load,
      figure(apart.cpu),
      figure(free.cpu),
      digits(scaling(results, { transport, apart, free }), 2),
      figure(apart.rate),
      figure(free.rate),
      figure(free.idle),
      figure(free.others),
    ];
  });
  const numbers = ['one core: CPU µs a delivery', 'two: CPU µs a delivery', 'scaling', 'one: deliveries/s', 'two: deliveries/s', 'two: machine idle, %', 'two: machine busy with others, %'];
  return grid([`load (${OWN} only)`], numbers, found);
}

function notes(results) {
  const { rounds, clients, messages, payload, rooms, rate, roomMessages, idleClients } = results;
  const lines = [
    `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}, in brackets the lowest and highest; ratios are medians of the ratios of`,
    `each round. Fan-out: ${digits(clients)} clients, ${messages} messages of ${payload} bytes, in lockstep.`,
    ...(rooms
      ? [`Rooms: ${digits(clients)} clients in ${rooms} rooms, ${digits(roomMessages)} messages, ${digits(rate)} a second.`]
      : []),
    `Idle: ${digits(idleClients)} clients. ${results.date}, ${results.machine}.`,
    ...(results.loadAverages ? [`Load averages after the rounds (this alone: 1 to 2): ${results.loadAverages.join(', ')}.`] : []),
    '',
  ];
  for (const transport of TRANSPORTS) {
    for (const { name } of results.servers) {
      const heap = value(results, name, transport, LIVE_HEAP);
      if (heap === undefined) continue;
      lines.push(`* ${name}, ${transport}: ${digits(heap / 1024)} KiB a client of heap in use after a full collection.`);
    }
  }
  lines.push(...unable(results));
  for (const { name, version } of results.servers) lines.push(`* ${name}: ${version}`);
  return lines;
}

/** Who failed, and who was slower than messages came. */
function unable(results) {
  const lines = [];
  for (const { server, scenario, transport, round, failed, rate_per_s: rate, messages, elapsed_s: took } of results.measured) {
    const where = `${server}, ${scenario}, ${transport}, round ${round + 1}`;
    if (failed) lines.push(`* Failed, and left out: ${where}: ${failed}`);
    // A twentieth for the last deliveries, which are awaited.
    if (rate && took > (1.05 * messages) / rate) {
      lines.push(`* Did not keep up: ${where}: ${digits(messages / took)} messages a second of ${digits(rate)}`);
    }
  }
  return lines;
}
