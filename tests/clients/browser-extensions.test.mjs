// The clients' own extensions in Chromium: with each way to receive, over switches, and over reloads.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { Gate } from './support/gate.mjs';
import { withoutRepeats } from './support/repeats.mjs';
import { RawSession } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { within } from './support/within.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const HOUR = 3_600_000;
/** A frame is given up after this (ms), as its browser does not say that its connection broke. */
const SILENCE = 500;
const HEARTBEATS = 'streaming.heartbeat_interval=100ms';
const PLUGINS = ['xhr-streaming', 'multipart', 'iframe', 'eventsource'];

const opening = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const cometd = (version) => opening(`cometd-extensions.html?version=${version}&silence=${SILENCE}`);
const dojox = (version, ...extensions) => {
  const query = extensions.map((name) => `extension=${name}`).join('&');
  return opening(`dojox-${version}.html?${query}`);
};

/** A client behind a gate, and another that publishes to it without one. */
async function meet(stage, open, options) {
  const gate = stage.add(await Gate.start(stage.server.origin));
  const behind = {
    server: { origin: gate.origin, url: `${gate.origin}/cometd` },
    log: (line) => stage.log(line),
  };
  const bob = stage.add(await open(behind, 'bob'));
  const join = () => bob.connect(behind.server.url, options);
  assert.equal(await join(), options.transports[0]);
  await bob.subscribe('/news');
  const alice = await RawSession.open(stage.server.url);
  const publish = async (...numbers) => {
    for (const number of numbers) await alice.ask('/news', { data: number });
  };
  const receive = async (...numbers) => {
    for (const number of numbers) assert.equal((await bob.receive()).data, number);
    assert.deepEqual(bob.messages, []);
  };
  return { gate, bob, join, publish, receive };
}

/** Loses a message on its way, which the server has written, with another behind it, which it cannot. */
async function loseOne({ gate, publish }, lost, next) {
  gate.swallows = true;
  await publish(lost);
  await gate.swallowed(`"data":${lost}`);
  const attempt = gate.knock();
  gate.shut();
  await publish(next);
  // Chromium repeats a request by itself once, of which the client hears only if that fails too.
  await within('an attempt', attempt);
  gate.swallows = false;
  gate.open();
}

/** Receives, loses, and receives again, so many times. */
async function playLosses(scene, rounds) {
  for (let round = 1; round <= rounds; round += 1) {
    const [first, lost, next] = [round * 10, round * 10 + 1, round * 10 + 2];
    await scene.publish(first);
    await scene.receive(first);
    await loseOne(scene, lost, next);
    await scene.receive(lost, next);
  }
  assert.equal(scene.bob.reconnections, 0);
}

for (const transport of PLUGINS) {
  behaviours({
    name: `cometd 9.0.0 in a browser with the plug-in ${transport} and extensions`,
    open: cometd(9),
    transport,
    extensions: ['Ack', 'TimeSync', 'TimeStamp', 'Binary'],
    watched: false,
  });
}

describe('with ack, a client in a browser gets again what was lost on its way', () => {
  for (const version of [3, 7, 9]) {
    for (const transport of ['websocket', 'long-polling', ...PLUGINS]) {
      test(`cometd ${version} by ${transport}`, () =>
        onStage([HEARTBEATS], async (stage) => {
          const options = { transports: [transport], extensions: ['Ack'] };
          await playLosses(await meet(stage, cometd(version), options), 2);
        }));
    }
  }

  for (const transport of ['websocket', ...PLUGINS]) {
    test(`cometd 9.0.0 that goes from ${transport} to long-polling and back`, () =>
      onStage([HEARTBEATS], async (stage) => {
        const transports = [transport, 'long-polling'];
        const options = { transports, extensions: ['Ack'] };
        const scene = await meet(stage, cometd(9), options);
        for (const [round, expected] of ['long-polling', transport, 'long-polling'].entries()) {
          const [lost, next] = [round * 10 + 1, round * 10 + 2];
          await scene.bob.perform('prefer', expected);
          await loseOne(scene, lost, next);
          await scene.receive(lost, next);
          assert.equal(await scene.bob.perform('transport'), expected);
        }
        assert.equal(scene.bob.reconnections, 0);
      }));
  }

  for (const version of ['1.6', '1.7']) {
    test(`dojox.cometd ${version}`, () =>
      onStage([], async (stage) => {
        const options = { transports: ['long-polling'] };
        await playLosses(await meet(stage, dojox(version, 'ack'), options), 2);
      }));
  }
});

describe('a page that is loaded again goes on in its session', () => {
  for (const version of [3, 7, 9]) {
    for (const transport of ['websocket', 'long-polling', 'xhr-streaming']) {
      test(`cometd ${version} by ${transport}`, () =>
        onStage([], async (stage) => {
          const extensions = ['Ack', 'Reload'];
          const options = { transports: [transport], extensions, resumes: ['/news'] };
          const { gate, bob, join, publish } = await meet(stage, cometd(version), options);
          const session = await bob.perform('clientId');
          await publish(1);
          await bob.until('a message', () => bob.messages.length > 0);

          // What is on its way when the page goes is lost, and what comes while there is none waits.
          gate.swallows = true;
          await publish(2);
          await gate.swallowed('"data":2');
          await bob.perform('leave');
          await publish(3);
          gate.swallows = false;
          await bob.reload();
          assert.equal(await join(), transport);
          await publish(4);
          const received = () => bob.messages.map(({ data }) => data);
          await bob.until('the last message', () => received().at(-1) === 4);
          assert.deepEqual(withoutRepeats(received()), [1, 2, 3, 4]);
          assert.equal(await bob.perform('clientId'), session);
        }));
    }
  }
});

describe('with timesync, a client in a browser knows the time of the server', () => {
  const assertKnown = ({ offset, lag }, ahead) => {
    assert.ok(Math.abs(offset + ahead) < 1_000, `offset ${offset}`);
    assert.ok(Math.abs(lag) < 1_000, `lag ${lag}`);
  };

  test('cometd 9.0.0', () =>
    onStage(['bayeux.timeout=100ms'], async (stage) => {
      const open = opening(`cometd-extensions.html?version=9&ahead=${HOUR}`);
      const bob = stage.add(await open(stage, 'bob'));
      await bob.connect(stage.server.url, { transports: ['long-polling'], extensions: ['TimeSync'] });
      await bob.subscribe('/news');
      assertKnown(await bob.perform('clock'), HOUR);
    }));

  // It takes the difference of the clocks for lag, whatever the server, so its clock is right here.
  for (const version of ['1.6', '1.7']) {
    test(`dojox.cometd ${version}`, () =>
      onStage(['bayeux.timeout=100ms'], async (stage) => {
        const bob = stage.add(await dojox(version, 'timesync')(stage, 'bob'));
        await bob.connect(stage.server.url, { transports: ['long-polling'] });
        await bob.subscribe('/news');
        const clock = await bob.perform('clock');
        assertKnown(clock, 0);
        assert.ok(clock.samples > 0);
      }));
  }
});

for (const version of ['1.6', '1.7']) {
  behaviours({
    name: `dojox.cometd ${version} in a browser with ack, timesync and timestamp`,
    open: dojox(version, 'ack', 'timesync', 'timestamp'),
    transport: 'long-polling',
    falsy: false,
  });
}
