// The figures that reports show: medians over the rounds, and ratios between servers; does no I/O.

export const OWN = 'Mirant';
export const FLOOR = 'floor';
export const NCHAN = 'nchan';
export const LONG_POLLING = 'long-polling';
export const WEBSOCKET = 'websocket';
export const TRANSPORTS = [LONG_POLLING, WEBSOCKET];

/** A figure is a field of what one load finds. */
const figure = (scenario, field) => ({ scenario, field });
const delivered = scenario => ({
  cpu: figure(scenario, 'server_cpu_us_per_delivery'),
  loadCpu: figure(scenario, 'bench_cpu_us_per_delivery'),
  rate: figure(scenario, 'deliveries_per_s'),
  p50: figure(scenario, 'latency_p50_us'),
  p90: figure(scenario, 'latency_p90_us'),
  p99: figure(scenario, 'latency_p99_us'),
  idle: figure(scenario, 'machine_idle_percent'),
  others: figure(scenario, 'machine_others_percent'),
});
export const FAN_OUT = delivered('fan-out');
export const ROOMS = delivered('rooms');
const FAN_OUT_FREE = delivered('fan-out on both cores');
const ROOMS_FREE = delivered('rooms on both cores');
/** The loads that Mirant meets with both cores too: their figures with one, and with two. */
export const TWO_CORES = [
  { load: 'fan-out, long-polling', transport: LONG_POLLING, apart: FAN_OUT, free: FAN_OUT_FREE },
  { load: 'fan-out, WebSocket', transport: WEBSOCKET, apart: FAN_OUT, free: FAN_OUT_FREE },
  { load: 'rooms, long-polling', transport: LONG_POLLING, apart: ROOMS, free: ROOMS_FREE },
];
export const MEMORY = figure('idle', 'server_resident_bytes_per_client');
export const LIVE_HEAP = figure('idle', 'live_heap_bytes_per_client');
export const SET_UP = figure('idle', 'server_setup_cpu_us_per_client');
export const SET_UP_RATE = figure('idle', 'handshakes_per_s');

function median(numbers) {
  if (numbers.length === 0) return undefined;
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The values of a figure by round; nothing where a load failed. */
function byRound(results, server, transport, { scenario, field }) {
  const rows = results.measured.filter(
    row => row.server === server && row.transport === transport && row.scenario === scenario,
  );
  return new Map(rows.filter(row => Number.isFinite(row[field])).map(row => [row.round, row[field]]));
}

/** The median; nothing if it was never measured. */
export function value(results, server, transport, figure) {
  return median([...byRound(results, server, transport, figure).values()]);
}

/** The lowest and the highest; nothing if there are not two. */
export function range(results, server, transport, figure) {
  const values = [...byRound(results, server, transport, figure).values()];
  return values.length < 2 ? undefined : [Math.min(...values), Math.max(...values)];
}

/** The median of the ratios of each round: what slows a round down slows both. */
export function ratio(results, server, other, transport, figure) {
  return quotient(byRound(results, server, transport, figure), byRound(results, other, transport, figure));
}

/** How much more two cores deliver than one, when none is idle: by their CPU time a delivery. */
export function scaling(results, { transport, apart, free }) {
  const one = byRound(results, OWN, transport, apart.cpu);
  const found = quotient(one, byRound(results, OWN, transport, free.cpu));
  return found && 2 * found;
}

function quotient(values, others) {
  const ratios = [...values].filter(([round]) => others.get(round) > 0);
  return median(ratios.map(([round, own]) => own / others.get(round)));
}

/** How much of the machine went to others, in percent: the median of all loads. */
export function others(results) {
  return median(results.measured.map(row => row.machine_others_percent).filter(Number.isFinite));
}

/** A number to be read; nothing for none. */
export function digits(number, most = 1) {
  if (number === undefined) return '';
  return number.toLocaleString('en', { maximumFractionDigits: number < 100 ? most : 0 });
}
