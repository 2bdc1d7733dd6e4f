import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { GRACE, INVITED_FOR, LISTED_FOR, Lobby, MAX_NAME, MAX_PLAYERS } from './lobby.mjs';
import { PATIENCE } from './match.mjs';
import { COURT, PAD } from './physics.mjs';
import { Tickets } from './tickets.mjs';

const tickets = new Tickets('a secret');
let lobby, now;

beforeEach(() => {
  lobby = new Lobby(tickets);
  now = 1_000;
});

const enter = (session, data) => lobby.enter(session, data, now);
const does = (name, session, data = {}) => lobby[name](session, data, now);
const match = () => [...lobby.matches()][0]?.[1];
const names = () => lobby.state().players.map(({ name }) => name);

/** Lets time pass in steps in which nothing is missed. */
function pass(time, meanwhile = () => {}) {
  for (const end = now + time; now < end; now += 20) {
    meanwhile();
    lobby.advance(now);
  }
}

/** Ann and Ben, who play. */
function play() {
  const [ann, ben] = [enter('s1', { name: 'Ann' }), enter('s2', { name: 'Ben' })];
  does('invite', 's1', { player: ben.id });
  does('invite', 's2', { player: ann.id });
  return [ann, ben];
}

test('who is invited and invites back plays; who has invited is on the left', () => {
  const [ann, ben] = [enter('s1', { name: 'Ann' }), enter('s2', { name: 'Ben' })];
  does('invite', 's1', { player: ben.id });
  assert.deepEqual(lobby.state().invitations, [{ from: ann.id, to: ben.id }]);
  does('invite', 's2', { player: ann.id });
  const { invitations, matches } = lobby.state();
  assert.deepEqual(invitations, []);
  const [{ players, names: pair, over }] = matches;
  assert.deepEqual([players, pair, over], [[ann.id, ben.id], ['Ann', 'Ben'], false]);
});

test('an invitation can be declined and taken back, and does not stand for ever', () => {
  const [ann, ben] = [enter('s1', { name: 'Ann' }), enter('s2', { name: 'Ben' })];
  for (const end of [
    () => does('decline', 's2', { player: ann.id }),
    () => does('decline', 's1'),
    () => pass(INVITED_FOR + 100),
  ]) {
    does('invite', 's1', { player: ben.id });
    assert.equal(lobby.state().invitations.length, 1);
    end();
    assert.equal(lobby.state().invitations.length, 0);
  }
  does('decline', 's1', { player: ben.id });
});

test('nobody invites themselves, nobody, or somebody who plays', () => {
  const [ann, ben] = play();
  const eve = enter('s3', { name: 'Eve' });
  for (const player of [eve.id, 'nobody', undefined, '__proto__', 'house']) {
    assert.throws(() => does('invite', 's3', { player }), /not here/);
  }
  assert.throws(() => does('invite', 's3', { player: ann.id }), /Ann is playing/);
  assert.throws(() => does('invite', 's1', { player: eve.id }), /You are playing/);
  assert.throws(() => does('invite', 'unknown', { player: ben.id }), /Enter first/);
});

test('a player moves the own pad, and nobody else moves one', () => {
  play();
  enter('s3', { name: 'Eve' });
  does('pad', 's1', { y: 0 });
  does('pad', 's2', { y: 1e9 });
  assert.throws(() => does('pad', 's3', { y: 45, side: 0, player: 'any' }), /no match/);
  assert.throws(() => does('pad', 's4', { y: 45 }), /Enter first/);
  for (const y of [NaN, Infinity, '45', null, undefined, {}]) {
    assert.throws(() => does('pad', 's1', { y }), /number/);
  }
  pass(1_500);
  assert.deepEqual(match().state(now).pads, [PAD.height / 2, COURT.height - PAD.height / 2]);
});

test('who comes back with a ticket by another session plays on, and the old session does not', () => {
  const [{ id, ticket }] = play();
  lobby.end('s1', now);
  assert.deepEqual(match().state(now).away, [0]);
  const back = enter('s1b', { ticket, name: 'Another' });
  assert.deepEqual([back.id, back.name, back.ticket], [id, 'Ann', ticket]);
  assert.equal(match().phase, 'ready');
  does('pad', 's1b', { y: 10 });
  assert.throws(() => does('pad', 's1', { y: 80 }), /Enter first/);
  // The old session may still be there; its end, which is told later, is not that of the player.
  enter('s1c', { ticket });
  assert.throws(() => does('pad', 's1b', { y: 80 }), /Enter first/);
  lobby.end('s1b', now);
  assert.equal(match().phase, 'ready');
});

test('a ticket that was not made here is none', () => {
  const [{ id, ticket }] = play();
  for (const forged of [id, `${id}.`, `${ticket}x`, new Tickets('another').of(id), 7, {}, ['x']]) {
    assert.notEqual(enter(`s${Math.random()}`, { ticket: forged, name: 'Eve' }).id, id);
  }
});

test('who is gone is forgotten a little later, and a player in a match when that is lost', () => {
  play();
  enter('s3', { name: 'Eve' });
  lobby.end('s3', now);
  lobby.end('s1', now);
  const benIsThere = () => match().hear(1, now);
  pass(GRACE - 100, benIsThere);
  assert.deepEqual(names(), ['Ann', 'Ben', 'Eve']);
  pass(200, benIsThere);
  assert.deepEqual(names(), ['Ann', 'Ben']);
  pass(PATIENCE, benIsThere);
  assert.deepEqual(match().end, { winner: 1, why: 'gone' });
  assert.deepEqual(names(), ['Ben']);
  pass(LISTED_FOR + 100);
  assert.deepEqual(lobby.state().matches, []);
});

test('it goes on from what was published, and players come back by their tickets', () => {
  const [ann, ben] = play();
  pass(3_000, () => [0, 1].forEach((side) => match().hear(side, now)));
  const saved = JSON.parse(JSON.stringify(lobby.state()));
  const states = new Map([...lobby.matches()].map(([id, of]) => [id, of.state(now)]));
  const { ball } = match().state(now);
  lobby = new Lobby(tickets);
  lobby.restore(saved, states, now);
  assert.deepEqual(lobby.state(), saved);
  assert.equal(match().phase, 'paused');
  enter('t1', ann);
  assert.equal(match().phase, 'paused');
  enter('t2', ben);
  assert.equal(match().phase, 'ready');
  assert.deepEqual(match().state(now).ball, ball);
});

test('a player can play against the house', () => {
  enter('s1', { name: 'Ann' });
  does('practise', 's1');
  assert.deepEqual(lobby.state().matches[0].names, ['Ann', 'The house']);
  assert.throws(() => does('practise', 's1'), /You are playing/);
  does('leave', 's1');
  does('practise', 's1');
  assert.equal(lobby.state().matches.length, 1);
});

test('names are cut to what a lobby can show', () => {
  const { name } = enter('s1', { name: `  A\u0000\u202e\n\tB${'x'.repeat(100)}` });
  assert.equal(name, `A B${'x'.repeat(MAX_NAME - 3)}`);
  assert.throws(() => enter('s2', { name: ' \u200b ' }), /say a name/);
});

test('the lobby has a bound', () => {
  for (let at = 0; at < MAX_PLAYERS; at += 1) enter(`s${at}`, { name: 'Somebody' });
  assert.throws(() => enter('one more', {}), /full/);
  enter('s1', {});
});
