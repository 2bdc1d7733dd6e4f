// The application servers of examples/, each run as a process with a server of a test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { within } from './within.mjs';

const pathOf = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const PACKAGES = { cometd: 'cometd-9', 'cometd-nodejs-client': 'cometd-nodejs-client-2' };

/** Installs the packages of the examples in a folder, as npm does. */
export async function install(folder) {
  await mkdir(join(folder, 'node_modules'));
  for (const [name, target] of Object.entries(PACKAGES)) {
    await symlink(pathOf(`../node_modules/${target}`), join(folder, 'node_modules', name));
  }
}

/** Puts an example into a folder: a file, or a folder of files without what is installed there. */
export function copyExample(example, folder) {
  const filter = (path) => !path.includes('node_modules', path.indexOf('/examples/'));
  return cp(pathOf(`../../../examples/${example}`), join(folder, example), { recursive: true, filter });
}

/** An application server that runs. */
class Application {
  #child;
  #lines = [];
  #wake = () => {};

  constructor(child, log) {
    this.#child = child;
    this.exit = once(child, 'exit');
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        log(line);
        this.#lines.push(line);
        this.#wake();
      });
    }
  }

  /** Waits until it has written such a line, and takes that and those before it. */
  async until(pattern) {
    const written = async () => {
      for (;;) {
        const at = this.#lines.findIndex((line) => pattern.test(line));
        if (at >= 0) return this.#lines.splice(0, at + 1).at(-1);
        await new Promise((resolve) => (this.#wake = resolve));
      }
    };
    return within(`the application to write ${pattern}`, written());
  }

  /** Ends it by a signal; its exit code, none if the signal has killed it. */
  async end(signal) {
    this.#child.kill(signal);
    const [code] = await within(`the application to end by ${signal}`, this.exit);
    return code;
  }

  async close() {
    await this.end('SIGKILL');
  }
}

/**
 * Starts an example, and waits until it takes calls, or writes something else.
 *
 * @param {object} stage
 * @param {string} example a file of examples/, or of a folder there
 * @param {string} token what it shows
 * @param {RegExp} [ready] what it writes then
 */
export async function application(stage, example, token, ready = /^takes calls$/) {
  const folder = await mkdtemp(join(tmpdir(), 'mirant-example-'));
  await install(folder);
  await copyExample(example.split('/', 1)[0], folder);
  const command = example.endsWith('.py') ? pathOf('../.venv/bin/python') : process.execPath;
  const env = { ...process.env, MIRANT_URL: stage.server.url, MIRANT_TOKEN: token, http_proxy: '', HTTP_PROXY: '' };
  const child = spawn(command, [join(folder, example)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const started = stage.add(new Application(child, (line) => stage.log(`${example}: ${line}`)));
  started.exit.finally(() => rm(folder, { recursive: true }));
  await started.until(ready);
  return started;
}
