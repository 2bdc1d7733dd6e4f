// Runs every load against every server, in rounds, and writes what is found and reports of it.
// Usage: node measure.mjs [--quick] [--rounds N] [--only SERVER,…] [--scenarios NAME,…] [--out DIRECTORY]
import { mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { LOADS, PAYLOAD, measured } from './loads.mjs';
import { writeReports } from './report.mjs';
import { Running, SERVERS } from './servers.mjs';
import { tables } from './table.mjs';

const HERE = import.meta.dirname;
const FULL = {
  rounds: 3,
  clients: 1000,
  messages: 100,
  rooms: 100,
  rate: 1000,
  roomMessages: 10_000,
  warmUp: 1,
  idleClients: 10_000,
  idle: 3,
};
const QUICK = {
  ...FULL,
  rounds: 1,
  clients: 100,
  messages: 20,
  rooms: 10,
  roomMessages: 1000,
  warmUp: 0.2,
  idleClients: 1000,
  idle: 2,
};

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    scenarios: { type: 'string' },
    out: { type: 'string' },
  },
});
const size = flags.quick ? QUICK : FULL;
const rounds = Number(flags.rounds ?? size.rounds);
const names = flags.only?.split(',');
const servers = SERVERS.filter(({ name }) => names?.includes(name) ?? true);
const scenarios = flags.scenarios?.split(',');
const loads = LOADS.filter(({ scenario }) => scenarios?.includes(scenario) ?? true);
const out = flags.out ?? (flags.quick ? path.join(HERE, 'quick') : HERE);

process.on('exit', () => Running.killAll());
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

const results = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores, Linux ${os.release()}`,
  ...size,
  rounds: 0,
  payload: PAYLOAD,
  servers: servers.map(server => ({ name: server.name, version: server.version() })),
  /** How busy the machine was with this and all else, after each round. */
  loadAverages: [],
  measured: [],
};
mkdirSync(out, { recursive: true });
for (let round = 0; round < rounds; round++) {
  results.rounds = round + 1;
  // Each round begins with another server, so that none is always the first.
  const first = round % servers.length;
  const inTurn = [...servers.slice(first), ...servers.slice(0, first)];
  for (const load of loads) {
    for (const transport of load.transports) {
      for (const server of inTurn) {
        const { name, transports } = server;
        if (!transports.includes(transport) || (load.only ?? name) !== name) continue;
        const found = await measured(server, load, transport, size);
        results.measured.push({ round, server: name, ...found, scenario: load.scenario, transport });
        const figure = found.server_cpu_us_per_delivery ?? found.server_resident_bytes_per_client;
        console.error(`round ${round + 1}: ${load.scenario}, ${transport}, ${name}: ${figure ?? found.failed}`);
      }
    }
  }
  results.loadAverages.push(Number(os.loadavg()[1].toFixed(1)));
  // After every round, so that a run which is stopped is not lost.
  writeReports(out, results);
}
console.log(tables(results));
if (results.measured.some(({ failed }) => failed)) process.exitCode = 1;
