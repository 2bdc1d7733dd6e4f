// The compose file of the cluster's example says what the files beside it do; it is not run.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import { read } from './support/documents.mjs';
import { binary } from './support/server.mjs';

const FOLDER = 'examples/cluster';
const local = (path) => fileURLToPath(new URL(`../../${FOLDER}/${path}`, import.meta.url));
const { services, volumes } = parse(await read(`${FOLDER}/compose.yaml`), { merge: true });
const nodes = Object.entries(services).filter(([, { command }]) => command?.startsWith('mirant serve '));

test('its nodes are those that nginx knows', async () => {
  const upstream = [...(await read(`${FOLDER}/nginx.conf`)).matchAll(/^ +server (\S+):8080 /gm)];
  assert.deepEqual(nodes.map(([name]) => name), upstream.map(([, name]) => name));
});

for (const [name, { command, environment }] of nodes) {
  test(`${name} starts with what it is given`, () => {
    assert.match(command, new RegExp(` --listen 0.0.0.0:8080 --set cluster.advertise=${name}:7070$`));
    const set = command.match(/--set \S+/g).flatMap((argument) => argument.split(' '));
    const { status, stderr } = spawnSync(binary(), ['check-config', local('mirant.toml'), ...set], {
      env: { ...process.env, ...Object.fromEntries(Object.keys(environment).map((key) => [key, 'x'.repeat(64)])) },
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });
}

test('what it mounts and waits for is there', async () => {
  for (const [name, { volumes: mounts = [], depends_on: others = [] }] of Object.entries(services)) {
    for (const other of others) assert.ok(other in services, `${name} waits for ${other}`);
    for (const mount of mounts) {
      const [source] = mount.split(':');
      if (!source.startsWith('.')) assert.ok(source in volumes, `${name} mounts ${source}`);
      else if (!source.startsWith('../../target/')) await read(`${FOLDER}/${source}`);
    }
  }
});
