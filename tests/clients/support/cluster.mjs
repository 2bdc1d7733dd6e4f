import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { binary } from './server.mjs';
import { within } from './within.mjs';

const START = fileURLToPath(new URL('../../../examples/cluster/start', import.meta.url));
const LOG_LINES = 30;
/** How long the start and the end of the whole may take (ms). */
const BOUND = 30_000;

/** Redis, three nodes and nginx, as `examples/cluster/start` runs them; in place of a `Server`. */
export class Cluster {
  /** The Bayeux endpoint behind nginx. */
  url;
  /** The Bayeux endpoints of the nodes themselves. */
  nodes = [];
  #folder;
  #process;
  #exit;
  #lines = [];
  #logs = '';

  /** @param {string[]} settings of each node, each `key=value` */
  static async start(settings = []) {
    const cluster = new Cluster();
    await cluster.#launch(settings);
    return cluster;
  }

  get origin() {
    return new URL(this.url).origin;
  }

  /** What the script said, and the end of the nodes' logs as they were read last. */
  get log() {
    return [...this.#lines, this.#logs].join('\n');
  }

  /** Reads the nodes' logs, for `log`. */
  async readLogs() {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.log'));
    const ends = names.map(async (name) => {
      const text = await readFile(join(this.#folder, name), 'utf8');
      return `--- ${name}\n${text.trimEnd().split('\n').slice(-LOG_LINES).join('\n')}`;
    });
    this.#logs = (await Promise.all(ends)).join('\n');
  }

  /** Stops all as Ctrl-C does, and requires that it ends well. */
  async stop() {
    this.#process.kill('SIGINT');
    const [code, signal] = await within('the cluster to stop', this.#exit, BOUND);
    if (code !== 0) throw new Error(`the cluster stopped with ${code ?? signal}\n${this.log}`);
  }

  /**
   * Ends a node, and waits until another is in its place.
   *
   * @param {number} node from 0
   * @param {string} signal
   */
  async replace(node, signal) {
    const before = await this.#pid(node);
    process.kill(before, signal);
    const replaced = async () => {
      while ((await this.#pid(node)) === before || !(await this.#answers(node))) await delay(20);
    };
    await within(`node ${node + 1} to be there again`, replaced(), BOUND);
  }

  async #pid(node) {
    return Number(await readFile(join(this.#folder, `node${node + 1}.pid`), 'utf8'));
  }

  async #answers(node) {
    try {
      await fetch(this.nodes[node], { signal: AbortSignal.timeout(1_000) });
      return true;
    } catch {
      return false;
    }
  }

  async #launch(settings) {
    const args = settings.flatMap((setting) => ['--set', setting]);
    const child = spawn(START, ['0', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, MIRANT_BIN: binary() },
    });
    this.#process = child;
    this.#exit = once(child, 'exit');
    createInterface({ input: child.stderr }).on('line', (line) => this.#lines.push(line));
    const announced = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => reject(new Error(`the cluster ended (${code}):\n${this.log}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.#lines.push(line);
        const [, node] = /^node \d, process \d+: (\S+)$/.exec(line) ?? [];
        if (node) this.nodes.push(node);
        [, this.#folder] = /^logs and process ids: (.+)$/.exec(line) ?? [, this.#folder];
        const [, url] = /^clients connect to (\S+) /.exec(line) ?? [];
        if (url) resolve(url);
      });
    });
    try {
      this.url = await within('the cluster to listen', announced, BOUND);
    } catch (error) {
      child.kill('SIGTERM');
      throw error;
    }
  }
}

/** The same cluster for many stages: it goes on when one of them ends. */
export const shared = (cluster) => ({
  url: cluster.url,
  origin: cluster.origin,
  get log() {
    return cluster.log;
  },
  async stop() {},
});
