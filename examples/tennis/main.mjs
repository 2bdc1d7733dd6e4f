#!/usr/bin/env node
// The game's server: it takes the calls of players, lets time pass, and publishes what there is to see.
//
//     MIRANT_URL=http://127.0.0.1:8080/cometd TENNIS_KEY=mirant_... node main.mjs
import { Lobby } from './lobby.mjs';
import { BALL, COURT, PAD } from './physics.mjs';
import { Tickets } from './tickets.mjs';
import { Wire } from './wire.mjs';

const LOBBY = '/tennis/lobby';
const MATCHES = '/tennis/match/';

/** How often time passes for the ball (ms). A match is published at each second tick at most, the lobby less often. */
const TICK = 20;
const MATCH_EVERY = 36;
const LOBBY_EVERY = 200;
/** A match in which nothing moves, and a lobby in which nothing happens, are published so often (ms). */
const STILL_EVERY = 1_000;
const QUIET_EVERY = 10_000;

const url = process.env.MIRANT_URL ?? 'http://127.0.0.1:8080/cometd';
const key = process.env.TENNIS_KEY;
if (!key) throw new Error('TENNIS_KEY has to be the key that Mirant knows: see README.md');

const tickets = new Tickets(key);
const lobby = new Lobby(tickets);
const now = () => performance.now();

/** What pages have to know of the court. */
const court = { ...COURT, pad: PAD, radius: BALL.radius };

/** Players come back by themselves when they see another one. */
let run;
let isTakenUp = false;
let lobbyChanged = true;
let lobbySaid = -Infinity;
/** When a match was published last and what its phase was, by its id. */
const said = new Map();

/** Does what a player asks for, which may change the lobby. */
const service = (name) => (session, data) => {
  const answer = lobby[name](session, data, now());
  lobbyChanged = true;
  return answer;
};

const wire = new Wire(url, key, {
  services: {
    '/service/tennis/enter': (...call) => ({ run, ...service('enter')(...call) }),
    '/service/tennis/invite': service('invite'),
    '/service/tennis/decline': service('decline'),
    '/service/tennis/practise': service('practise'),
    '/service/tennis/leave': service('leave'),
    '/service/tennis/pad': (session, data) => lobby.pad(session, data, now()),
  },
  ended(session) {
    lobby.end(session, now());
    lobbyChanged = true;
  },
  async begun() {
    if (!isTakenUp) await takeUp();
    isTakenUp = true;
    lobby.endAll(now());
    run = tickets.newId();
    lobbyChanged = true;
  },
});

/** Goes on where an earlier run was: its last messages say all that there was. */
async function takeUp() {
  const last = await wire.lastOf('/tennis/**');
  const states = new Map([...last].map(([channel, state]) => [channel.slice(MATCHES.length), state]));
  if (last.has(LOBBY)) lobby.restore(last.get(LOBBY), states, now());
}

function tick() {
  if (!run) return;
  const time = now();
  if (lobby.advance(time)) lobbyChanged = true;
  const messages = [...lobbyNews(time), ...matchNews(time)];
  if (messages.length > 0) wire.publish(messages);
}

function* lobbyNews(time) {
  const every = lobbyChanged ? LOBBY_EVERY : QUIET_EVERY;
  if (time - lobbySaid < every) return;
  lobbyChanged = false;
  lobbySaid = time;
  yield [LOBBY, { run, court, ...lobby.state() }];
}

function* matchNews(time) {
  const ids = new Set();
  for (const [id, match] of lobby.matches()) {
    ids.add(id);
    const { phase } = match;
    const before = said.get(id);
    const isStill = before?.phase === phase && (phase === 'paused' || phase === 'over');
    if (before && time - before.at < (isStill ? STILL_EVERY : MATCH_EVERY)) continue;
    said.set(id, { at: time, phase });
    yield [MATCHES + id, match.state(time)];
  }
  for (const id of said.keys()) if (!ids.has(id)) said.delete(id);
}

setInterval(tick, TICK).unref(); // it is the connection that keeps the process alive
wire.open();

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => wire.close().then(() => process.exit()));
