import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

import { binary } from './server.mjs';
import { within } from './within.mjs';

/** A running program of `examples/`, as `cargo test` builds them beside the server. */
export class Example {
  /** The Bayeux endpoint. */
  url;
  #process;
  #log = [];

  /** Starts one with these arguments and the address to listen on behind them. */
  static async start(name, args = []) {
    const path = join(dirname(binary()), 'examples', name);
    if (!existsSync(path)) throw new Error(`no ${path}: run \`cargo build --examples\``);
    const example = new Example(spawn(path, [...args, '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'pipe'] }));
    try {
      [example.url] = await within(`${name} to listen`, example.#announced());
    } catch (error) {
      example.#process.kill('SIGKILL');
      throw new Error(`${error.message}\n${example.log}`);
    }
    return example;
  }

  constructor(process) {
    this.#process = process;
    createInterface({ input: process.stderr }).on('line', (line) => this.#log.push(line));
  }

  get log() {
    return this.#log.join('\n');
  }

  /** Stops it as with Ctrl-C, and requires that it ends well. */
  async stop() {
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGINT');
    try {
      const [code, signal] = await within('the example to stop', exit);
      if (code !== 0) throw new Error(`the example stopped with ${code ?? signal}`);
    } finally {
      this.#process.kill('SIGKILL');
    }
  }

  #announced() {
    return once(createInterface({ input: this.#process.stdout }), 'line');
  }
}
