#!/usr/bin/env node
// Starts Mirant with its demonstration and, beside it, the game's server, with a key that is made for this run.
//
//     node examples/tennis/start.mjs
//
// Arguments are Mirant's, such as `--listen 0.0.0.0:8080`. MIRANT says where the program is.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const pathOf = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const built = ['release', 'debug'].map((profile) => pathOf(`../../target/${profile}/mirant`));
const mirant = process.env.MIRANT ?? built.find(existsSync) ?? 'mirant';

/** The file of the client library, which the pages use, too. */
let client;
try {
  client = fileURLToPath(import.meta.resolve('cometd'));
} catch {
  console.error(`The client library is missing. Run: npm install --prefix ${pathOf('.')}`);
  process.exit(1);
}

const key = `mirant_${randomBytes(32).toString('base64url')}`;
const started = [];

/** Starts a program; when one of them ends, all do. */
function start(command, args, env, stdout) {
  // In a group of its own, so that Ctrl-C comes to this program alone, which then stops both.
  const options = { detached: true, stdio: ['ignore', stdout, 'inherit'] };
  const child = spawn(command, args, { ...options, env: { ...process.env, TENNIS_KEY: key, ...env } });
  started.push(child);
  child.once('error', ({ message }) => {
    console.error(`${message}: build Mirant with \`cargo build --release\`, or say where it is: MIRANT=/path/to/mirant`);
  });
  child.once('close', (code) => {
    process.exitCode ??= code ?? 1;
    stop();
  });
  return child;
}

/** Tells both to stop, once: a second signal would cut Mirant's clients off. */
function stop() {
  for (const child of started.splice(0)) child.kill('SIGTERM');
}

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop);

const settings = ['--config', pathOf('mirant.toml'), '--demo', '--demo-client', client];
const server = start(mirant, ['serve', ...settings, ...process.argv.slice(2)], {}, 'pipe');
let hasGame = false;
createInterface({ input: server.stdout }).on('line', (line) => {
  console.log(line);
  const [, url] = /^listening on (https?:\S+)$/.exec(line) ?? [];
  if (!url || hasGame) return;
  hasGame = true;
  start(process.execPath, [pathOf('main.mjs')], { MIRANT_URL: url }, 'inherit');
  console.log(`play at ${new URL('/demo/tennis', url)}`);
});
