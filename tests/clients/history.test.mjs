// Clients have what they missed: after they were away, and after the server was; or hear that it is gone.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { onStageWithHistory, publish } from './support/kept.mjs';
import { CHANNEL, NEW, missed } from './support/missed.mjs';
import { COMETD_9, nodePeer } from './support/node-peer.mjs';
import { processPeer } from './support/process.mjs';
import { withShell } from './support/shell.mjs';
import { SECRET, tokenOf } from './support/tokens.mjs';

/** What clients of Salesforce need, who look for the number in `data`, and want to hear that theirs has expired. */
const LIKE_SALESFORCE = 'replay_id="data", replay_expired="fail"';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const python = (driver) => (stage, name) => processPeer(name, here('.venv/bin/python'), [here(driver)], stage);
const JAVA = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', `${here('java/target/classes')}:${here('java/target/lib')}/*`];
/** Where others work, too, a Java machine may take longer to start than what a call waits. */
const java = async (stage, name) => {
  const peer = processPeer(name, 'java', [...JAVA, 'Driver'], stage);
  const isThere = () => peer.perform('positions').then(() => true, () => false);
  for (let time = 0; time < 4 && !(await isThere()); time += 1);
  return peer;
};
const jsforce = nodePeer({ library: 'jsforce' });

missed({ name: 'jsforce 3', open: jsforce, options: LIKE_SALESFORCE });
missed({
  name: 'aiosfstream-ng 0.7.5',
  open: python('drivers/aiosfstream_client.py'),
  options: LIKE_SALESFORCE,
  fallback: 'ALL_EVENTS',
});
for (const transport of ['long-polling', 'websocket']) {
  const name = 'cometd 9.0.0 with an extension of its own';
  missed({ name, open: nodePeer(COMETD_9), transport, options: 'replay_expired="fail"' });
  const javaName = "CometD's Java client 9.0.0 with an extension like EMP-Connector's";
  missed({ name: javaName, open: java, transport, options: LIKE_SALESFORCE });
}

describe('jsforce 3 hears by its AuthFailure', () => {
  for (const [what, token, error] of [
    ['that it has not shown who it is', undefined, /^\/meta\/handshake 403:.*:handshake_denied none$/],
    ['that its token has expired', () => tokenOf('u1', 9), /^\/meta\/handshake 401:.*:token_expired none$/],
  ]) {
    test(what, () =>
      withShell(async ({ folder }) => {
        const secret = join(folder, 'secret');
        await writeFile(secret, SECRET);
        const settings = [
          `issuer=[{ secret = { file = '${secret}' }, leeway = "0s" }]`,
          'access=[{ allow = ["handshake", "subscribe", "publish"], who = "authenticated", channels = ["/**"] }]',
        ];
        await onStageWithHistory(`{pattern="/event/**", history={messages=9}}`, settings, async (stage) => {
          const client = stage.add(await jsforce(stage, 'alice'));
          await client.connect(stage.server.url, { since: { [CHANNEL]: NEW }, token: token?.() });
          // Without a session there is no answer.
          const subscribed = client.subscribe(CHANNEL);
          if (token) await subscribed;
          else subscribed.catch(() => {});
          await client.until('a refusal', () => client.refusals.length > 0);
          assert.match(client.refusals[0], error);
        });
      }),
    );
  }
});

test('mirant subscribe prints every message once, however the server and the command end', () =>
  onStageWithHistory('{pattern="/event/**", history={messages=100}}', [], ({ server }) =>
    withShell(async (shell) => {
      await publish(server.url, CHANNEL, 1);
      let since = 'all';
      for (const n of [1, 4]) {
        const count = n + 3;
        const run = shell.start(`exec mirant subscribe --since ${since} --count 3 ${server.origin} '/event/*'`);
        await run.until(new RegExp(`"n":${n}\\b`));
        await server.crash();
        await publish(server.url, CHANNEL, n + 1, n + 2);
        assert.deepEqual(await run.exit, [0, null], run.errors);
        const printed = run.text.trimEnd().split('\n').map((line) => JSON.parse(line).data.n);
        assert.deepEqual(printed, [n, n + 1, n + 2]);
        [, since] = /--since (\S+) goes on from here/.exec(run.errors);
        await publish(server.url, CHANNEL, count);
      }
    }),
  ));
