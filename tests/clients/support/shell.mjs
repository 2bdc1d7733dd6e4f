import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { binary } from './server.mjs';
import { within } from './within.mjs';

/** What stands in for cargo: it runs what is built already. */
const CARGO = `#!/bin/sh
[ "$1" = run ] || exit 9
shift
[ "$1" != --release ] || shift
[ "$1" = -- ] || exit 9
shift
exec mirant "$@"
`;

/**
 * Runs `play` with a shell in a folder of its own, where `mirant`, `target/release/mirant` and
 * `cargo run --` (with `--release` or without) are the program that is tested. It listens on a free port unless it is told
 * otherwise.
 */
export async function withShell(play) {
  const folder = await mkdtemp(join(tmpdir(), 'mirant-shell-'));
  const shell = new Shell(folder);
  try {
    await mkdir(join(folder, 'bin'));
    await mkdir(join(folder, 'target/release'), { recursive: true });
    const program = resolve(binary());
    for (const place of ['bin/mirant', 'target/release/mirant']) {
      await symlink(program, join(folder, place));
    }
    await writeFile(join(folder, 'bin/cargo'), CARGO);
    await chmod(join(folder, 'bin/cargo'), 0o755);
    await play(shell);
  } finally {
    shell.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

class Shell {
  #processes = [];

  constructor(folder) {
    this.folder = folder;
  }

  /** Runs a script to its end, which comes in so many milliseconds; what it wrote. */
  async run(script, bound = 30_000) {
    const run = this.start(script);
    const [code] = await within(`the end of: ${script}`, run.exit, bound).catch((error) => {
      throw new Error(`${error.message}\n${run.text}\n${run.errors}`);
    });
    if (code !== 0) throw new Error(`exit code ${code} of ${script}\n${run.text}\n${run.errors}`);
    return run.text;
  }

  /** Starts a script, and returns what it writes so far as `text`, and to stderr as `errors`. */
  start(script) {
    const child = spawn('bash', ['-c', script], {
      cwd: this.folder,
      // A group of its own, with which its background jobs end.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        PATH: `${join(this.folder, 'bin')}:${process.env.PATH}`,
        MIRANT_HTTP__LISTEN: '127.0.0.1:0',
        http_proxy: '',
      },
    });
    this.#processes.push(child);
    const run = { text: '', errors: '', pid: child.pid, exit: once(child, 'close') };
    let wake = () => {};
    child.stdout.setEncoding('utf8').on('data', (data) => {
      run.text += data;
      wake();
    });
    child.stderr.setEncoding('utf8').on('data', (data) => {
      run.errors += data;
    });
    /** Waits until it has written what a pattern matches. */
    run.until = async (pattern) => {
      const written = async () => {
        while (!pattern.test(run.text)) await new Promise((resolve) => (wake = resolve));
        return pattern.exec(run.text);
      };
      return within(`${pattern} of ${script}`, written()).catch((error) => {
        throw new Error(`${error.message}\n${run.text}\n${run.errors}`);
      });
    };
    return run;
  }

  kill() {
    for (const { pid } of this.#processes) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch (error) {
        // It has ended by itself.
        if (error.code !== 'ESRCH') throw error;
      }
    }
  }
}
