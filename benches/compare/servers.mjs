// The servers that are compared: how each is started, and what it speaks.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const HERE = import.meta.dirname;
export const MIRANT = path.join(HERE, '../../target/release/mirant');
const FLOOR = path.join(HERE, 'floor/target/release/floor');
const JAVA = path.join(HERE, 'cometd-java/target');
const NODE = path.join(HERE, 'node');

export const LONG_POLLING = 'long-polling';
export const WEBSOCKET = 'websocket';
const BOTH = [LONG_POLLING, WEBSOCKET];

/** How many messages a server gets before it is measured, unless it says otherwise. */
const WARM_UP = 50;
/** How long a server may take to accept its first connection, in milliseconds. */
const START = 30_000;

const version = file => JSON.parse(readFileSync(path.join(NODE, 'node_modules', file, 'package.json'))).version;
const first = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).split('\n')[0].trim();

export const SERVERS = [
  {
    name: 'floor',
    transports: BOTH,
    version: () => 'benches/compare/floor',
    command: port => [FLOOR, `127.0.0.1:${port}`],
  },
  {
    name: 'Mirant',
    transports: BOTH,
    version: () => `${first(MIRANT, '--version')}, ${first('git', '-C', HERE, 'rev-parse', '--short', 'HEAD')}`,
    command: port => [MIRANT, 'serve', '--listen', `127.0.0.1:${port}`, '--log-level', 'warn'],
  },
  {
    name: 'nchan',
    transports: BOTH,
    speaksBayeux: false,
    version: () => first('dpkg-query', '-W', '-f', '${Version}', 'libnginx-mod-nchan'),
    command: (port, directory) => {
      const template = readFileSync(path.join(HERE, 'nchan/nginx.conf'), 'utf8');
      const configuration = path.join(directory, 'nginx.conf');
      writeFileSync(configuration, template.replaceAll('PORT', port).replaceAll('DIRECTORY', directory));
      return ['nginx', '-c', configuration, '-p', directory];
    },
    /** What is measured is the worker, which is the master's only child. */
    process: pid => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()),
  },
  {
    name: 'CometD (Java)',
    transports: BOTH,
    warmUp: 400,
    version: () => {
      const pom = readFileSync(path.join(HERE, 'cometd-java/pom.xml'), 'utf8');
      const property = name => pom.match(`<${name}.version>(.*)<`)[1];
      return `${property('cometd')}, Jetty ${property('jetty')}, ${first('java', '--version')}`;
    },
    command: port => ['java', '-Xmx2g', '-cp', `${JAVA}/classes:${JAVA}/lib/*`, 'CompareServer', String(port)],
    /** Bytes of the heap that are in use after everything unused was collected. */
    liveHeap: pid => {
      execFileSync('jcmd', [String(pid), 'GC.run']);
      const info = execFileSync('jcmd', [String(pid), 'GC.heap_info'], { encoding: 'utf8' });
      const used = [...info.matchAll(/(?:generation|garbage-first heap) .*used (\d+)K/g)];
      return used.reduce((sum, [, kibibytes]) => sum + Number(kibibytes) * 1024, 0);
    },
  },
  {
    name: 'Faye (Node)',
    transports: BOTH,
    version: () => `${version('faye')}, Node ${process.version}`,
    command: port => ['node', path.join(NODE, 'faye.cjs'), String(port)],
  },
  {
    name: 'CometD (Node)',
    transports: [LONG_POLLING],
    version: () => `cometd-nodejs-server ${version('cometd-nodejs-server')}, Node ${process.version}`,
    command: port => ['node', path.join(NODE, 'cometd-nodejs.cjs'), String(port)],
  },
].map(server => ({ speaksBayeux: true, warmUp: WARM_UP, process: pid => pid, ...server }));

/** A server that runs on some cores, until it is stopped. */
export class Running {
  static #all = new Set();

  static async start(server, cores) {
    const port = await freePort();
    const directory = mkdtempSync(path.join(tmpdir(), 'mirant-compare-'));
    for (const name of ['body', 'logs']) mkdirSync(path.join(directory, name));
    // `taskset` becomes the server, so that this is the server's process.
    const child = spawn('taskset', ['-c', cores, ...server.command(port, directory)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const running = new Running(server, port, directory, child);
    Running.#all.add(running);
    await running.#accepts();
    running.pid = server.process(child.pid);
    return running;
  }

  constructor(server, port, directory, child) {
    Object.assign(this, { server, port, directory, child });
    this.ended = new Promise(resolve => child.once('exit', resolve));
  }

  async #accepts() {
    const end = Date.now() + START;
    while (!(await isOpen(this.port))) {
      if (Date.now() > end || this.child.exitCode !== null) throw new Error(`${this.server.name} does not start`);
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }

  async stop() {
    this.child.kill('SIGTERM');
    const hard = setTimeout(() => this.child.kill('SIGKILL'), 3000);
    await this.ended;
    clearTimeout(hard);
    Running.#all.delete(this);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Ends whatever still runs, when there is no time to wait for it. */
  static killAll() {
    for (const { child } of Running.#all) child.kill('SIGTERM');
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function isOpen(port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
