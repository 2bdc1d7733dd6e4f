import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { within } from './within.mjs';

const EXAMPLES = new URL('../../../examples/', import.meta.url);
const MODULES = '/usr/lib/apache2/modules';
/** How often a start is tried: what is a free port may be taken until the proxy has it. */
const ATTEMPTS = 3;
/** The server's address in the examples. */
const UPSTREAM = '127.0.0.1:8080';

/**
 * @typedef {object} Kind
 * @property {string} program
 * @property {string} example the file in `examples/`
 * @property {string} listen what says there where to listen
 * @property {(address: string) => string} listening what replaces it
 * @property {(folder: string) => string} main the configuration around it, which includes
 *   `site.conf`; written as `main.conf`
 * @property {(folder: string) => string[]} args those that keep it in the foreground, as one
 *   process, so that nothing outlives it
 */

/** @type {Kind} */
export const nginx = {
  program: '/usr/sbin/nginx',
  example: 'nginx.conf',
  listen: 'listen 80;',
  listening: (address) => `listen ${address};`,
  main: (folder) => `
    daemon off;
    master_process off;
    pid ${folder}/pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${folder}/body;
      proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      include ${folder}/site.conf;
    }`,
  args: (folder) => ['-c', `${folder}/main.conf`],
};

/** @type {Kind} */
export const haproxy = {
  program: '/usr/sbin/haproxy',
  example: 'haproxy.cfg',
  listen: 'bind :80',
  listening: (address) => `bind ${address}`,
  main: () => 'global\n  log stderr format raw local0\n',
  args: (folder) => ['-db', '-f', `${folder}/main.conf`, '-f', `${folder}/site.conf`],
};

/** @type {Kind} */
export const apache = {
  program: '/usr/sbin/apache2',
  example: 'apache.conf',
  listen: '<VirtualHost *:80>',
  listening: (address) => `Listen ${address}\n<VirtualHost ${address}>`,
  main: (folder) => `
    ServerRoot ${folder}
    DefaultRuntimeDir ${folder}
    PidFile ${folder}/pid
    Mutex posixsem
    ErrorLog "|/bin/cat"
    ServerName localhost
    LoadModule mpm_event_module ${MODULES}/mod_mpm_event.so
    LoadModule authz_core_module ${MODULES}/mod_authz_core.so
    LoadModule headers_module ${MODULES}/mod_headers.so
    LoadModule proxy_module ${MODULES}/mod_proxy.so
    LoadModule proxy_http_module ${MODULES}/mod_proxy_http.so
    Include ${folder}/site.conf`,
  args: (folder) => ['-X', '-f', `${folder}/main.conf`],
};

/** @type {Kind} */
export const caddy = {
  program: '/usr/bin/caddy',
  example: 'Caddyfile',
  listen: 'comet.example.com {',
  listening: (address) => `http://:${address.split(':')[1]} {\n\tbind 127.0.0.1`,
  main: (folder) => `{
    admin off
    auto_https off
    storage file_system ${folder}
  }
  import ${folder}/site.conf`,
  args: (folder) => ['run', '--config', `${folder}/main.conf`, '--adapter', 'caddyfile'],
};

/** A proxy as its example sets it up, in front of one server. */
export class Proxy {
  /** Where it listens, e.g. `http://127.0.0.1:40123`. */
  origin;
  #kind;
  #folder;
  #process;
  #exit;
  #log;

  /**
   * @param {Kind} kind
   * @param {string} upstream the server's host and port
   * @param {object} options
   * @param {[string, string][]} [options.changes] texts of the example and what replaces them
   * @param {(line: string) => void} [options.log] takes what it writes
   */
  static async start(kind, upstream, { changes = [], log = () => {} } = {}) {
    const proxy = new Proxy(kind, log);
    proxy.#folder = await mkdtemp(join(tmpdir(), 'mirant-proxy-'));
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          await proxy.#launch(upstream, changes);
          return proxy;
        } catch (error) {
          await proxy.#end();
          if (attempt === ATTEMPTS) throw error;
        }
      }
    } catch (error) {
      await proxy.close();
      throw error;
    }
  }

  constructor(kind, log) {
    this.#kind = kind;
    this.#log = log;
  }

  /** Ends it and takes its files away. */
  async close() {
    try {
      await this.#end();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  async #launch(upstream, changes) {
    const { program, example, listen, listening, main, args } = this.#kind;
    const port = await freePort();
    const text = await readFile(new URL(example, EXAMPLES), 'utf8');
    const site = [[listen, listening(`127.0.0.1:${port}`)], [UPSTREAM, upstream], ...changes];
    await writeFile(join(this.#folder, 'site.conf'), site.reduce(replaceOnce, text));
    await writeFile(join(this.#folder, 'main.conf'), `${main(this.#folder)}\n`);

    // Caddy keeps files in its home.
    const env = { ...process.env, HOME: this.#folder };
    const child = spawn(program, args(this.#folder), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    let ended = null;
    this.#exit = new Promise((resolve) => {
      child.once('error', resolve);
      child.once('exit', (code, signal) => resolve(code ?? signal));
    }).then((why) => {
      ended = new Error(`${program} has ended: ${why}`);
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#log(`${example}: ${line}`));
    }
    await within(`${program} to listen`, this.#listens(port, () => ended));
    this.origin = `http://127.0.0.1:${port}`;
  }

  /** Tries to connect until that succeeds: the programs do not say when they are ready. */
  async #listens(port, failure) {
    const giveUp = performance.now() + 10_000;
    for (;;) {
      const reached = await reaches(port);
      // Another process may have the port, so its own must still be there.
      if (failure()) throw failure();
      if (reached) return;
      if (performance.now() > giveUp) throw new Error(`nothing listens on ${port}`);
      await delay(20);
    }
  }

  async #end() {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    // Asked kindly, Apache would wait for the polls that it holds.
    child.kill('SIGKILL');
    await within(`${this.#kind.program} to end`, this.#exit);
  }
}

/** Fails if the example no longer says what is to be replaced. */
function replaceOnce(text, [from, to]) {
  const parts = text.split(from);
  const times = parts.length - 1;
  if (times !== 1) throw new Error(`the example has ${JSON.stringify(from)} ${times} times`);
  return parts.join(to);
}

async function reaches(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    // A socket that is given the very port it asks for connects to itself.
    return socket.localPort !== port;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A port that nothing listens on just now, for programs that cannot take one by themselves. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
