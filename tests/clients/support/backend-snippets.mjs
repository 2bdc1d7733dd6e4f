// How the snippets of docs/backends.md are run: each with a server whose key the snippet shows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { copyExample, install } from './connected.mjs';
import { freePort } from './proxy.mjs';
import { post } from './requests.mjs';
import { onStage } from './stage.mjs';
import { SECRET, tokenOf } from './tokens.mjs';
import { within } from './within.mjs';

const KEY = 'mirant_0123456789012345678901234567890123456789012';
const SERVER = 'http://127.0.0.1:8080';
const API = 'http://127.0.0.1:8081';
/** A Go program is compiled with the packages that it needs. */
const BOUND = 120_000;
const COMMANDS = { curl: 'bash', go: 'go run' };

/** How each is run that has this in its text. */
export const RUNS = {
  'npm install cometd cometd-nodejs-client': startsApplication,
  "cometd.remoteCall('rpc/add'": calls,
  '"clientId": "CALLER"': exchanges,
  '"ext": {"sender"': publishesUnderAName,
  '{"event": "session_begun"': tells,
  '"/service/events", "data"': tellsInMessages,
  'curl http://127.0.0.1:8081/api/v1/publish': pushes('curl', 'push.sh'),
  'import json, os, urllib.request': pushes('python3', 'push.py'),
  '<?php': pushes('php', 'push.php'),
  "require 'net/http'": pushes('ruby', 'push.rb'),
  'console.log(await (await fetch(': pushes('node', 'push.mjs'),
  'package main': pushes('go', 'push.go'),
  'class Publish': pushes('java', 'Publish.java'),
};

/** Why some are not run: their language is not on this machine. */
export const LEFT_OUT = {
  '<?php': leftOut('php'),
  "require 'net/http'": leftOut('ruby'),
  'package main': leftOut('go'),
  'class Publish': leftOut('java'),
};

function leftOut(command) {
  const { error } = spawnSync(command, ['--version'], { stdio: 'ignore' });
  return error && `LEFT OUT: there is no ${command} here`;
}

/** Runs `play` with a server that knows a key which allows this, and tokens. */
async function withKey(shell, allow, settings, play) {
  const secret = join(shell.folder, 'secret');
  await writeFile(secret, SECRET);
  const hash = createHash('sha256').update(KEY).digest('hex');
  const own = [
    `issuer=[{ secret = { file = '${secret}' } }]`,
    `api.key=[{ name = 'shop', hash = 'sha256:${hash}', allow = ${JSON.stringify(allow)} }]`,
    'bayeux.max_interval=5m',
  ];
  await onStage([...own, ...settings], ({ server }) => play(server));
}

/** Runs `play` with a server whose application servers are connected. */
function withBackends(shell, play) {
  const settings = ['backends.role=backend', 'backends.events_channel=/service/events', 'backends.max_interval=5m'];
  return withKey(shell, ['calls', 'publish'], settings, play);
}

/** A session of somebody who shows a token. */
async function open(url, token) {
  const headers = { Authorization: `Bearer ${token}` };
  let clientId;
  /** Sends a message; what comes back, of which the reply is the last. */
  const ask = async (message) => JSON.parse((await post(url, [{ ...message, clientId }], headers)).text);
  const connect = () => ask({ channel: '/meta/connect', connectionType: 'long-polling' });
  const [reply] = await ask({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] });
  clientId = reply.clientId;
  await connect();
  const waiting = [];
  const subscribe = (subscription) => ask({ channel: '/meta/subscribe', subscription });
  /** Sends a message, and keeps what came with the reply. */
  const send = async (message) => waiting.push(...(await ask(message)).filter(isEvent));
  /** The next event. */
  const receive = async () => {
    while (waiting.length === 0) waiting.push(...(await connect()).filter(isEvent));
    return waiting.shift();
  };
  return { send, subscribe, receive };
}

const isEvent = ({ channel, data }) => data !== undefined && !channel.startsWith('/meta/');
const openBackend = (url) => open(url, KEY);
const openClient = (url) => open(url, tokenOf('u1', 600));

/** JSON values, each of which begins a line. */
const valuesOf = (text) => text.trimEnd().split(/\n+(?=\{)/).map((value) => JSON.parse(value));

/** Runs what publishes over HTTP in a language, and waits for it as a subscriber. */
function pushes(command, file) {
  return async (text, { shell }) => {
    const address = `127.0.0.1:${await freePort()}`;
    await withKey(shell, ['publish'], [`api.listen=${address}`], async ({ url }) => {
      await writeFile(join(shell.folder, file), text.replaceAll(API, `http://${address}`));
      const subscriber = await openClient(url);
      await subscriber.subscribe('/chat/demo');
      const printed = await shell.run(`MIRANT_KEY=${KEY} ${COMMANDS[command] ?? command} ${file}`, BOUND);
      assert.match(printed, /"?accepted"?: ?true,\s*"?channel"?: ?['"]\/chat\/demo['"],\s*"?receivers"?: ?1,/);
      assert.deepEqual(await subscriber.receive(), { channel: '/chat/demo', data: 'hello' });
    });
  };
}

/** Starts an example as it is printed, but for the installation of its packages. */
function startsApplication(text, { shell }) {
  return withBackends(shell, async ({ origin }) => {
    await install(shell.folder);
    await copyExample('backend.mjs', shell.folder);
    await writeFile(join(shell.folder, 'key.txt'), `${KEY}\n`);
    await shell.start(text.replace(/^npm .*$/m, '').replace(SERVER, origin)).until(/^takes calls$/m);
  });
}

/** Makes a call as a client that is connected. */
function calls(text, { shell }) {
  return withBackends(shell, async ({ url }) => {
    await install(shell.folder);
    await copyExample('backend.mjs', shell.folder);
    const application = shell.start(`MIRANT_URL=${url} MIRANT_TOKEN=${KEY} exec node backend.mjs`);
    await application.until(/^takes calls$/m);
    const before = `
      import { adapt } from 'cometd-nodejs-client';
      adapt();
      const { CometD } = await import('cometd');
      const cometd = new CometD();
      cometd.configure({ url: '${url}' });
      await new Promise((resolve) => cometd.handshake(resolve));`;
    await writeFile(join(shell.folder, 'caller.mjs'), `${before}\n${text}`);
    await shell.start('exec node caller.mjs').until(/^3$/m);
  });
}

/** Makes the call that is printed, once for each of its two ends. */
function exchanges(text, { shell }) {
  const [call, received, answer, failure, answered, failed] = valuesOf(text);
  return withBackends(shell, async ({ url }) => {
    const [caller, backend] = await Promise.all([openClient(url), openBackend(url)]);
    await backend.subscribe(call.channel);
    for (const [told, heard] of [[answer, answered], [failure, failed]]) {
      await caller.send(call);
      const taken = await within('the call', backend.receive());
      const { id, session } = taken.ext.call;
      assert.equal(session.length, received.ext.call.session.length);
      const printed = { ...received, ext: { call: { ...received.ext.call, id, session } } };
      assert.deepEqual(taken, printed);
      await backend.send({ ...told, ext: { call: { ...told.ext.call, id } } });
      assert.deepEqual(await within('the answer', caller.receive()), heard);
    }
  });
}

/** Publishes the message that is printed; its subscribers receive the name. */
function publishesUnderAName(text, { shell }) {
  const [{ clientId: _, ...message }] = valuesOf(text);
  return withBackends(shell, async ({ url }) => {
    const [client, backend] = await Promise.all([openClient(url), openBackend(url)]);
    await client.subscribe(message.channel);
    await backend.send(message);
    assert.deepEqual(await within('the message', client.receive()), message);
  });
}

/** Hears what happens when a client comes, subscribes, and goes; the messages that tell of it. */
async function hear(url) {
  const backend = await openBackend(url);
  await backend.subscribe('/service/events');
  const client = await openClient(url);
  await client.subscribe('/chat/1');
  await client.send({ channel: '/meta/disconnect' });
  const messages = [];
  do messages.push(await within('events', backend.receive()));
  while (!messages.at(-1).data.events.some(({ event }) => event === 'vacated'));
  return messages;
}

/** Events without what is different each time; it is checked to be there. */
function alike(events) {
  return events.map(({ at, session, ...event }) => {
    assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    return { ...event, sessionLength: session?.length };
  });
}

/** Hears the events that are printed. */
function tells(text, { shell }) {
  return withBackends(shell, async ({ url }) => {
    const events = (await hear(url)).flatMap(({ data }) => data.events);
    const ofClient = events.filter(({ user, channel }) => user === 'u1' || channel === '/chat/1');
    assert.deepEqual(alike(ofClient), alike(valuesOf(text)));
  });
}

/** Receives the message that is printed, perhaps with more events. */
function tellsInMessages(text, { shell }) {
  const [{ data, ...printed }] = valuesOf(text);
  return withBackends(shell, async ({ url }) => {
    const { data: heard, ...message } = (await hear(url)).at(-1);
    assert.deepEqual(message, printed);
    assert.deepEqual(Object.keys(heard), Object.keys(data));
    assert.deepEqual(alike(heard.events.slice(-1)), alike(data.events));
  });
}
