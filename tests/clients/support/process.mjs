import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { Peer } from './peer.mjs';
import { brief } from './within.mjs';

/**
 * Starts a client in a process of its own. It reads calls (`{call, operation, args}`) and writes
 * results (`{call, result}` or `{call, error}`) and reports (`{report}`), one JSON text a line.
 */
export function processPeer(name, command, args, stage) {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Faye would send its requests to the proxy named there.
    env: { ...process.env, http_proxy: '', HTTP_PROXY: '' },
  });
  const exit = once(child, 'exit');
  const calls = new Map();
  let ended = null;

  const peer = new Peer(
    name,
    (operation, ...rest) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        const call = calls.size;
        calls.set(call, { resolve, reject });
        child.stdin.write(`${JSON.stringify({ call, operation, args: rest })}\n`);
      }),
    async () => {
      child.kill('SIGKILL');
      await exit;
    },
  );

  // Writing to a process that has ended fails; its exit is what gets reported.
  child.stdin.on('error', () => {});
  createInterface({ input: child.stderr }).on('line', (line) => stage.log(`${name}: ${line}`));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { call, result, error, report } = JSON.parse(line);
    if (report) peer.report(report);
    else if (error === undefined) calls.get(call).resolve(result);
    else calls.get(call).reject(new Error(brief(`${name}: ${error}`)));
  });
  const end = (why) => {
    ended = new Error(`${name} has ended: ${why}`);
    for (const { reject } of calls.values()) reject(ended);
  };
  child.once('error', (error) => end(error.message));
  child.once('exit', (code, signal) => end(code ?? signal));
  return peer;
}
