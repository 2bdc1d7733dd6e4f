// The most important figures as bars, in one SVG with a background of its own; does no I/O.
import { FAN_OUT, LONG_POLLING, MEMORY, OWN, ROOMS, SET_UP, TRANSPORTS, digits, value } from './figures.mjs';

const WIDTH = 920;
const MARGIN = 16;
const PANEL = (WIDTH - MARGIN) / 2;
/** Room for a server's name before its bars, and for a number behind them. */
const NAME = 108;
const NUMBER = 56;
const BAR = 13;
const ROW = 2 * BAR + 10;
const TITLE = 42;
const COLOURS = { 'long-polling': '#1f5a99', websocket: '#8db8e2' };

/** Four panels of bars, a bar for each transport. */
export function drawing(results) {
  const panels = [
    {
      title: 'Fan-out: CPU µs a delivery',
      about: `1 channel, ${digits(results.clients)} clients`,
      figure: FAN_OUT.cpu,
      transports: TRANSPORTS,
    },
    {
      title: 'Rooms: CPU µs a delivery',
      about: `${results.rooms} channels, ${digits(results.clients)} clients, ${digits(results.rate)} messages/s`,
      figure: ROOMS.cpu,
      transports: [LONG_POLLING],
    },
    {
      title: 'Memory: KiB a client',
      about: `${digits(results.idleClients)} idle clients`,
      figure: MEMORY,
      by: 1024,
      transports: TRANSPORTS,
    },
    {
      title: 'Set-up: CPU µs a client',
      about: 'connection, handshake, first connect, subscription',
      figure: SET_UP,
      transports: TRANSPORTS,
    },
  ];
  const height = TITLE + results.servers.length * ROW;
  const body = panels.map((panel, at) =>
    panelOf(results, panel, MARGIN + (at % 2) * PANEL, MARGIN + (at >> 1) * (height + MARGIN)),
  );
  const bottom = MARGIN + 2 * (height + MARGIN);
  body.push(...legend(results, bottom));
  return framed(body, bottom + 30);
}

function panelOf(results, { title, about, figure, transports, by = 1 }, left, top) {
  const found = (name, transport) => {
    const median = value(results, name, transport, figure);
    return median === undefined ? undefined : median / by;
  };
  const all = results.servers.flatMap(({ name }) => transports.map(transport => found(name, transport) ?? 0));
  const scale = (PANEL - MARGIN - NAME - NUMBER) / Math.max(...all, 1e-9);
  const parts = [
    text(left, top + 12, title, 'font-weight="bold"'),
    text(left, top + 28, about, 'fill="#57606a" font-size="11"'),
  ];
  results.servers.forEach(({ name }, row) => {
    const y = top + TITLE + row * ROW;
    const weight = name === OWN ? ' font-weight="bold"' : '';
    parts.push(text(left + NAME - 8, y + BAR + 4, name, `text-anchor="end"${weight}`));
    transports.forEach((transport, at) => {
      // A bar that is alone stands where the other two meet.
      const barTop = y + (transports.length === 1 ? BAR / 2 : at * BAR);
      parts.push(bar(left + NAME, barTop, found(name, transport), scale, COLOURS[transport]));
    });
  });
  return parts.join('\n');
}

function bar(x, y, found, scale, colour) {
  const label = left => text(left, y + BAR - 3, found === undefined ? '–' : digits(found, 2));
  if (found === undefined) return label(x + 4);
  const width = Math.max(1, found * scale);
  const shape = `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 1}" fill="${colour}"/>`;
  return `${shape}\n${label(x + width + 4)}`;
}

function legend(results, top) {
  const keys = TRANSPORTS.flatMap((transport, at) => {
    const x = MARGIN + at * 110;
    const square = `<rect x="${x}" y="${top}" width="${BAR}" height="${BAR}" fill="${COLOURS[transport]}"/>`;
    return [square, text(x + BAR + 5, top + 11, transport)];
  });
  const when = `shorter is better; medians of rounds: ${results.rounds}; ${results.date}`;
  return [...keys, text(MARGIN + 230, top + 11, when, 'fill="#57606a"')];
}

function framed(body, height) {
  const size = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`;
  const font = 'font-family="system-ui, sans-serif" font-size="12" fill="#1f2328"';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`,
    // Pages are light or dark; the text is dark.
    `<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="6" fill="#fff" stroke="#d0d7de"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function text(x, y, content, attributes = '') {
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${content}</text>`;
}
