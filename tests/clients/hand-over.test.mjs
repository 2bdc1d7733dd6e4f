// A new server begins to listen beside one that runs, and takes over from it: under a flood of new connections none is refused
// or reset. The kernel's setting for that is made in a network of the test's own.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { binary } from './support/server.mjs';

const DRIVER = fileURLToPath(new URL('drivers/hand-over.mjs', import.meta.url));
const OWN = ['--net', '--map-root-user'];

const mayHaveOwn = spawnSync('unshare', [...OWN, 'ip', 'link', 'set', 'lo', 'up']).status === 0;
const skip =
  (!existsSync('/proc/sys/net/ipv4/tcp_migrate_req') && 'the kernel is older than 5.14') ||
  (!mayHaveOwn && 'no network of its own may be made (unshare --net)');

test('servers take over from each other, and no connection is refused', { skip }, () => {
  const run = spawnSync('unshare', [...OWN, process.execPath, DRIVER, resolve(binary()), '4', '1'], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  const counts = JSON.parse(run.stdout);
  assert.deepEqual(Object.keys(counts), ['200'], run.stdout);
  assert.ok(counts[200] > 100, run.stdout);
});
