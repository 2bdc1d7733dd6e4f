// The medians of results.json as a Markdown table and as a bar chart; does no I/O but at its end.
// Usage: node report.mjs results.json, which writes the other two beside it.
import { readFileSync, writeFileSync } from 'node:fs';

const OWN = 'Mirant';
const FLOOR = 'floor';
const TRANSPORTS = ['long-polling', 'websocket'];
const CPU = { scenario: 'fan-out', field: 'server_cpu_us_per_delivery' };
const LOAD_CPU = { scenario: 'fan-out', field: 'bench_cpu_us_per_delivery' };
const RATE = { scenario: 'fan-out', field: 'deliveries_per_s' };
const P50 = { scenario: 'fan-out', field: 'latency_p50_us' };
const P99 = { scenario: 'fan-out', field: 'latency_p99_us' };
const MEMORY = { scenario: 'idle', field: 'server_resident_bytes_per_client' };
const LIVE_HEAP = { scenario: 'idle', field: 'live_heap_bytes_per_client' };

function median(numbers) {
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

function value(results, server, transport, figure) {
  const values = [...byRound(results, server, transport, figure).values()];
  return values.length ? median(values) : undefined;
}

/** The median of the ratios of each round: what slows a round down slows both. */
function ratio(results, server, other, transport, figure) {
  const values = byRound(results, server, transport, figure);
  const others = byRound(results, other, transport, figure);
  const ratios = [...values].filter(([round]) => others.get(round) > 0).map(([round, own]) => own / others.get(round));
  return ratios.length ? median(ratios) : undefined;
}

function digits(number, most = 1) {
  if (number === undefined) return '';
  return number.toLocaleString('en', { maximumFractionDigits: number < 100 ? most : 0 });
}

function spread(results, server, transport, figure) {
  const values = [...byRound(results, server, transport, figure).values()];
  if (values.length < 2) return '';
  return ` (${digits(Math.min(...values))}–${digits(Math.max(...values))})`;
}

/** One row for each server and transport, and what it was measured with. */
export function table(results) {
  const lines = [
    '| transport | server | CPU µs a delivery | CPU ÷ floor | CPU ÷ Mirant | latency p50 ms | p99 ms | deliveries/s | memory a client, KiB | memory ÷ floor | memory ÷ Mirant | load: CPU µs a delivery |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
  ];
  for (const transport of TRANSPORTS) {
    for (const { name } of results.servers) {
      const figure = what => value(results, name, transport, what);
      if (figure(CPU) === undefined && figure(MEMORY) === undefined) continue;
      const against = (other, what) => digits(ratio(results, name, other, transport, what), 2);
      const scaled = (what, by) => figure(what) && figure(what) / by;
      const cells = [
        transport,
        name === OWN ? `**${name}**` : name,
        digits(figure(CPU)) + spread(results, name, transport, CPU),
        against(FLOOR, CPU),
        against(OWN, CPU),
        digits(scaled(P50, 1000)),
        digits(scaled(P99, 1000)),
        digits(scaled(RATE, 1)),
        digits(scaled(MEMORY, 1024), 2),
        against(FLOOR, MEMORY),
        against(OWN, MEMORY),
        digits(figure(LOAD_CPU)),
      ];
      lines.push(`| ${cells.join(' | ')} |`);
    }
  }
  return `${[...lines, '', ...notes(results)].join('\n')}\n`;
}

function notes(results) {
  const lines = [
    `Medians of ${results.rounds} ${results.rounds === 1 ? 'round' : 'rounds'}, in brackets the lowest and highest; ratios are medians of the ratios of`,
    `each round. Fan-out: ${digits(results.clients)} clients, ${results.messages} messages of ${results.payload} bytes, in lockstep. Memory:`,
    `${digits(results.idleClients)} idle clients. ${results.date}, ${results.machine}.`,
    ...(results.loadAverages ? [`Load averages after the rounds (this alone: 1 to 2): ${results.loadAverages.join(', ')}.`] : []),
    '',
  ];
  for (const transport of TRANSPORTS) {
    for (const { name } of results.servers) {
      const heap = value(results, name, transport, LIVE_HEAP);
      if (heap !== undefined) {
        lines.push(`* ${name}, ${transport}: ${digits(heap / 1024)} KiB a client of heap in use after a full collection.`);
      }
    }
  }
  for (const { server, scenario, transport, round, failed } of results.measured) {
    if (failed) lines.push(`* Failed, and left out: ${server}, ${scenario}, ${transport}, round ${round + 1}: ${failed}`);
  }
  for (const { name, version } of results.servers) lines.push(`* ${name}: ${version}`);
  return lines;
}

const WIDTH = 860;
const LEFT = 130;
const RIGHT = 70;
const BAR = 13;
const ROW = 2 * BAR + 12;
const COLOURS = { 'long-polling': '#1f5a99', websocket: '#8db8e2' };

/** Bars of CPU time a delivery and of memory a client. */
export function drawing(results) {
  const panels = [
    { title: `CPU time of the server, µs a delivery: fan-out to ${digits(results.clients)} clients`, figure: CPU, by: 1 },
    { title: `Resident memory, KiB a client: ${digits(results.idleClients)} idle clients`, figure: MEMORY, by: 1024 },
  ];
  const body = [];
  let top = 20;
  for (const panel of panels) {
    const values = results.servers.flatMap(({ name }) =>
      TRANSPORTS.map(transport => (value(results, name, transport, panel.figure) ?? 0) / panel.by),
    );
    const scale = (WIDTH - LEFT - RIGHT) / Math.max(...values, 1e-9);
    body.push(text(10, top + 8, panel.title, 'font-weight="bold"'));
    top += 24;
    for (const { name } of results.servers) {
      const weight = name === OWN ? 'text-anchor="end" font-weight="bold"' : 'text-anchor="end"';
      body.push(text(LEFT - 8, top + BAR + 4, name, weight));
      TRANSPORTS.forEach((transport, at) => {
        const found = value(results, name, transport, panel.figure);
        const y = top + at * BAR;
        if (found === undefined) {
          body.push(text(LEFT + 4, y + BAR - 3, '–'));
          return;
        }
        const width = Math.max(1, (found / panel.by) * scale);
        body.push(`<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 1}" fill="${COLOURS[transport]}"/>`);
        body.push(text(LEFT + width + 4, y + BAR - 3, digits(found / panel.by, 2)));
      });
      top += ROW;
    }
    top += 16;
  }
  TRANSPORTS.forEach((transport, at) => {
    const x = LEFT + at * 130;
    body.push(`<rect x="${x}" y="${top - 6}" width="${BAR}" height="${BAR}" fill="${COLOURS[transport]}"/>`);
    body.push(text(x + BAR + 5, top + 5, transport));
  });
  body.push(text(LEFT + 270, top + 5, `rounds: ${results.rounds}, ${results.date}`, 'fill="#666"'));
  const height = top + 24;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function text(x, y, content, attributes = '') {
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${content}</text>`;
}

if (process.argv[1] === import.meta.filename) {
  const file = process.argv[2];
  const results = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file.replace(/json$/, 'md'), table(results));
  writeFileSync(file.replace(/json$/, 'svg'), drawing(results));
}
