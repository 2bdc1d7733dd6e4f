import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { within } from './within.mjs';

const COMMANDS = { py: 'python3', mjs: process.execPath };

/** A program of `examples/` that the server calls: it listens on a port that it prints. */
class Application {
  #process;
  #printed;
  #lines = [];
  #waiting = () => {};

  constructor(file, env) {
    const path = fileURLToPath(new URL(`../../../examples/${file}`, import.meta.url));
    const command = COMMANDS[file.split('.').at(-1)];
    this.#process = spawn(command, [path, '0'], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] });
    this.#printed = createInterface(this.#process.stdout);
    this.#printed.on('line', (line) => {
      this.#lines.push(line);
      this.#waiting();
    });
  }

  /** Waits until it has printed a line of this form. */
  prints(pattern) {
    const found = new Promise((resolve) => {
      this.#waiting = () => {
        const line = this.#lines.find((text) => pattern.test(text));
        if (line !== undefined) resolve(line);
      };
      this.#waiting();
    });
    return within(`${pattern} to be printed`, found);
  }

  async url() {
    const line = await this.prints(/^listening on \d+$/);
    return `http://127.0.0.1:${/\d+/.exec(line)[0]}/`;
  }

  async close() {
    const exit = once(this.#process, 'exit');
    if (this.#process.exitCode === null) {
      this.#process.kill();
      await exit;
    }
  }
}

/** Runs `play` with a program of `examples/`, its URL, and the file of a secret. */
export async function withApplication(file, env, secret, play) {
  const folder = await mkdtemp(join(tmpdir(), 'mirant-application-'));
  const secretFile = join(folder, 'secret');
  await writeFile(secretFile, secret);
  const application = new Application(file, env);
  try {
    await play({ application, url: await application.url(), secretFile });
  } finally {
    await application.close();
    await rm(folder, { recursive: true });
  }
}
