// What TLS costs: memory of a held poll, and processor time of its set-up, at Mirant by itself and with nginx in front that
// speaks TLS. Prints a table; the differences to the first row are what TLS takes.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { MIRANT, Measured, ROOT, freePort, listens } from '../support/measured.mjs';

const run = promisify(execFile);
const CLIENTS = Number(process.env.CLIENTS ?? 2_000);
const KEYS = join(ROOT, 'tests/keys');
const ROUNDS = 3;

/** Starts Mirant at an address of this machine that may begin with `tls:`. */
async function mirant(scheme, settings = []) {
  const set = [`tls.certificate=${KEYS}/tls-localhost.pem`, `tls.key=${KEYS}/tls-localhost.key`, ...settings];
  const args = ['serve', '--listen', `${scheme}127.0.0.1:0`, '--log-level', 'warn', ...set.flatMap((one) => ['--set', one])];
  const child = spawn(MIRANT, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { process: new Measured(child), url: line.replace('listening on ', '') };
}

/** Starts nginx that speaks TLS in front of an address, as one process. */
async function nginx(folder, url) {
  const port = await freePort();
  const { host } = new URL(url);
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr; worker_rlimit_nofile 65536;
    events { worker_connections 65536; }
    http {
      access_log off;
      ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}
      server {
        listen 127.0.0.1:${port} ssl backlog=4096;
        ssl_certificate ${KEYS}/tls-localhost.pem;
        ssl_certificate_key ${KEYS}/tls-localhost.key;
        location / {
          proxy_pass http://${host};
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $host;
          proxy_buffering off;
        }
      }
    }`,
  );
  const child = spawn('/usr/sbin/nginx', ['-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'inherit'] });
  await listens(port);
  return { process: new Measured(child), url: `https://127.0.0.1:${port}/cometd` };
}

/** Sets clients up, and reads what the processes have and take while their polls are held. */
async function parked(processes, url, words) {
  const sum = (name) => processes.reduce((all, process) => all + process[name], 0);
  const before = { cpu: sum('cpu'), resident: sum('resident') };
  let most = 0;
  const sampling = setInterval(() => {
    most = Math.max(most, sum('resident'));
  }, 100);
  try {
    const trust = url.startsWith('https') ? ['--ca', join(KEYS, 'tls-ca.pem')] : [];
    const args = ['bench', 'idle', '--clients', `${CLIENTS}`, '--idle', '1s', '--url', url, ...trust, ...words];
    await run(MIRANT, args, { maxBuffer: 1 << 24 });
  } finally {
    clearInterval(sampling);
  }
  return { bytes: (most - before.resident) / CLIENTS, micros: ((sum('cpu') - before.cpu) / CLIENTS) * 1e6 };
}

const NO_LIMITS = ['http.max_connections_per_address=100000', 'bayeux.max_sessions_per_browser=-1'];

/** Each way that a client may take: who is in front of Mirant, and what is spoken. */
const WAYS = {
  'Mirant': async () => {
    const { process, url } = await mirant('', NO_LIMITS);
    return { processes: [process], url, words: [] };
  },
  'Mirant with TLS': async () => {
    const { process, url } = await mirant('tls:', NO_LIMITS);
    return { processes: [process], url, words: [] };
  },
  'Mirant with TLS, HTTP/2': async () => {
    const { process, url } = await mirant('tls:', NO_LIMITS);
    return { processes: [process], url, words: ['--http2'] };
  },
  'nginx with TLS, Mirant': async (folder) => {
    const { process, url } = await mirant('', [...NO_LIMITS, 'http.trusted_proxies=["127.0.0.1"]']);
    const front = await nginx(folder, url);
    return { processes: [process, front.process], url: front.url, words: [] };
  },
};

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

console.log(`${CLIENTS} held polls, medians of ${ROUNDS} rounds`);
console.log('| | KiB a held poll | µs of processor time to set a client up |\n|---|--:|--:|');
for (const [name, start] of Object.entries(WAYS)) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const folder = mkdtempSync(join(tmpdir(), 'mirant-bench-'));
    const { processes, url, words } = await start(folder);
    try {
      rounds.push(await parked(processes, url, words));
    } finally {
      for (const process of processes) await process.end();
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const [bytes, micros] = ['bytes', 'micros'].map((key) => median(rounds.map((round) => round[key])));
  console.log(`| ${name} | ${(bytes / 1024).toFixed(1)} | ${Math.round(micros)} |`);
}
