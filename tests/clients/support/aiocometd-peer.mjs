import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { processPeer } from './process.mjs';

const CLIENT = fileURLToPath(new URL('../drivers/aiocometd_client.py', import.meta.url));

/** Builds by the module and the folder that python.sh makes for each. */
const BUILDS = [
  { build: 'aiocometd-ng 0.5.6', module: 'aiocometd_ng', folder: '.venv' },
  // Only there where a Python is that it runs on.
  { build: 'aiocometd 0.4.5', module: 'aiocometd', folder: '.venv-3.9', isExtra: true },
];

/** The builds with `open` of `behaviours`; or, of one that cannot run here, why it is left out as `skip`. */
export const AIOCOMETD = BUILDS.map(({ build, module, folder, isExtra }) => {
  const python = fileURLToPath(new URL(`../${folder}/bin/python`, import.meta.url));
  if (existsSync(python)) {
    return { build, open: (stage, name) => processPeer(name, python, [CLIENT, module], stage) };
  }
  if (!isExtra) throw new Error(`no ${folder}: run tests/clients/python.sh`);
  return { build, skip: 'LEFT OUT: it needs Python 3.7, 3.8 or 3.9, and none is here' };
});
