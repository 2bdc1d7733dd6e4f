// One client build in a Node process, driven over stdin and stdout by `process.mjs`. A process
// each, because cometd-nodejs-client installs globals and keeps one cookie jar per process.
import { subscribe } from 'node:diagnostics_channel';
import { createInterface } from 'node:readline';

import { skewClock } from '../drivers/clock.mjs';
import { cometdDriver } from '../drivers/cometd.mjs';
import { fayeDriver } from '../drivers/faye.mjs';
import { jsforceDriver } from '../drivers/jsforce.mjs';

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const report = (event) => write({ report: event });

/**
 * Reports this process's HTTP requests, which the clients all make with `node:http`. A WebSocket is
 * such a request until it is closed.
 */
function reportRequests() {
  const open = new Set();
  const end = (request, event) => {
    if (open.delete(request)) report(event);
  };
  subscribe('http.client.request.start', ({ request }) => {
    open.add(request);
    report({ type: 'request' });
    request.once('close', () => end(request, { type: 'failure', reason: `${request.path}: aborted` }));
    request.once('error', ({ message }) => {
      end(request, { type: 'failure', reason: `${request.path}: ${message}` });
    });
    request.once('upgrade', (_response, socket) => {
      open.delete(request);
      socket.once('close', () => report({ type: 'response' }));
    });
  });
  subscribe('http.client.response.finish', ({ request }) => end(request, { type: 'response' }));
}

/** @param {{ library: string, adapter?: string }} build the packages, named as in package.json */
async function driverOf({ library, adapter }) {
  if (library === 'jsforce') {
    const { StreamingExtension } = await import('jsforce/lib/api/streaming.js');
    return jsforceDriver((await import(library)).default, StreamingExtension, report);
  }
  if (!adapter) return fayeDriver((await import(library)).default, report);
  const { adapt } = await import(adapter).then((it) => it.default ?? it);
  adapt();
  const { CometD } = await import(library).then((it) => it.default ?? it);
  const load = async (name) => {
    const extension = await import(`${library}/${name}Extension.js`);
    return extension[`${name}Extension`] ?? extension.default;
  };
  return cometdDriver(new CometD(), report, load);
}

// stdout carries the protocol, so the libraries log to stderr.
console.log = console.info = console.debug = console.error;
reportRequests();
const build = JSON.parse(process.argv[2]);
if (build.ahead) skewClock(build.ahead);
const driver = await driverOf(build);

/** Does one operation of the driver, or several `together`: without a turn of the event loop between them. */
function perform(operation, args) {
  if (operation !== 'together') return driver[operation](...args);
  return Promise.all(args.map(([each, ...rest]) => driver[each](...rest)));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { call, operation, args } = JSON.parse(line);
  Promise.resolve()
    .then(() => perform(operation, args))
    .then(
      (result) => write({ call, result: result ?? null }),
      (error) => write({ call, error: error.message ?? JSON.stringify(error) }),
    );
}
