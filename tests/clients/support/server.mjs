import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { within } from './within.mjs';

const ANNOUNCEMENT = /^listening on (https?:\/\/\S+)$/;
const LOG_LINES = 60;

/** `MIRANT_BIN`, else the newer one of cargo's two builds. */
export function binary() {
  if (process.env.MIRANT_BIN) return process.env.MIRANT_BIN;
  const [newest] = ['release', 'debug']
    .map((profile) => fileURLToPath(new URL(`../../../target/${profile}/mirant`, import.meta.url)))
    .filter((path) => existsSync(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (!newest) throw new Error('no mirant binary: run `cargo build` or set MIRANT_BIN');
  return newest;
}

/** A running `mirant serve` of its own for one test. */
export class Server {
  /** The Bayeux endpoint, e.g. `http://127.0.0.1:40123/cometd`. */
  url;
  #settings;
  #flags;
  #before;
  #process;
  #log = [];

  /**
   * @param {string[]} settings values for `--set`, each `key=value`
   * @param {string[]} flags other arguments
   * @param {string} before what stands before the address that it listens on, such as `tls:`
   */
  static async start(settings = [], flags = [], before = '') {
    const server = new Server(settings, flags, before);
    await server.#launch(0);
    return server;
  }

  constructor(settings, flags, before) {
    this.#settings = settings;
    this.#flags = flags;
    this.#before = before;
  }

  get origin() {
    return new URL(this.url).origin;
  }

  /** The end of what the server wrote on stderr, over all its runs. */
  get log() {
    return this.#log.slice(-LOG_LINES).join('\n');
  }

  /** Stops the server as an operator does, and requires that it ends well. */
  async stop() {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the server ended by itself: ${child.exitCode ?? child.signalCode}`);
    }
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    try {
      const [code, signal] = await within('the server to stop', exit);
      if (code !== 0) throw new Error(`the server stopped with ${code ?? signal}`);
    } finally {
      child.kill('SIGKILL');
    }
  }

  /**
   * Stops the server and starts it again on the same port, its sessions forgotten unless `history.directory` is set.
   *
   * @param {number} away how long nothing listens, in ms
   */
  async restart(away = 0) {
    const port = new URL(this.url).port;
    await this.stop();
    await delay(away);
    await this.#launch(port);
  }

  /** Kills the server, as if it had crashed, and starts it again on the same port. */
  async crash() {
    const port = new URL(this.url).port;
    const child = this.#process;
    this.#process = undefined;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await within('the server to end', exit);
    await this.#launch(port);
  }

  async #launch(port) {
    // Tests stop it often, and wait for that.
    const all = ['http.drain_time=0s', ...this.#settings];
    const settings = all.flatMap((setting) => ['--set', setting]);
    const child = spawn(binary(), ['serve', '--listen', `${this.#before}127.0.0.1:${port}`, ...this.#flags, ...settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    createInterface({ input: child.stderr }).on('line', (line) => this.#log.push(line));

    const announced = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        reject(new Error(`the server did not start (${code ?? signal}):\n${this.log}`));
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const match = ANNOUNCEMENT.exec(line);
        if (match) resolve(match[1]);
      });
    });
    try {
      this.url = await within('the server to listen', announced);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }
}
