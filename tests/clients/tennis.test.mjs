// Comet tennis of the demonstrations, with the game's server of examples/: two browsers play, a third looks on, and
// connections and the game's server are lost in the middle.
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { BALL, COURT, LEFT, PAD, RIGHT, onCourt } from '../../examples/tennis/physics.mjs';
import { launch } from './support/browser.mjs';
import { application } from './support/connected.mjs';
import { Gate } from './support/gate.mjs';
import { RawSession } from './support/requests.mjs';
import { Server, binary } from './support/server.mjs';
import { onStageOf } from './support/stage.mjs';
import { within } from './support/within.mjs';

const CONFIG = fileURLToPath(new URL('../../examples/tennis/mirant.toml', import.meta.url));
const GAME = 'tennis/main.mjs';
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** Which way a ball flies that a side has hit. */
const AWAY_FROM = [1, -1];
/** How far from where the ball comes a player lets the pad be. */
const NEAR = 4;
/** How long a busy machine may need until something is to be seen of a match (ms). */
const BOUND = 60_000;

// The configuration and the game's server both read it from the environment.
process.env.TENNIS_KEY = 'mirant_0123456789012345678901234567890123456789012';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const withGame = async (play) => onStageOf(await Server.start([], ['--demo', '--config', CONFIG]), play);

/** Somebody with the page, in a browser context of its own. */
class Somebody {
  #hearing = new Set();

  static async open(stage, name, { origin = stage.server.origin, ...options } = {}) {
    const somebody = new Somebody();
    const context = await browser.newContext(options);
    stage.add({ close: () => context.close() });
    const page = await context.newPage();
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => somebody.#take(String(payload))));
    page.on('console', (message) => stage.log(`${name}: ${message.text()}`));
    page.on('pageerror', (error) => stage.log(`${name}: ${error.stack}`));
    await page.goto(`${origin}/demo/tennis`);
    return Object.assign(somebody, { page, name });
  }

  /** Waits for the lobby, and is there by its name. */
  async enter() {
    const field = this.page.getByLabel('Your name');
    await field.fill(this.name);
    await field.press('Enter');
    await this.sees(`${this.name} (you)`);
  }

  sees = (text) => this.page.getByText(text).first().waitFor();
  presses = (name) => this.page.getByRole('button', { name, exact: true }).click();
  /** Presses a button in a line of the lobby. */
  chooses(line, name) {
    return this.page.getByRole('listitem').filter({ hasText: line }).getByRole('button', { name }).click();
  }

  /** The next state of the match that is so, as it comes by WebSocket; it may never come. */
  #next(isSo = () => true) {
    return new Promise((resolve) => {
      const hear = (state) => {
        if (!isSo(state)) return;
        this.#hearing.delete(hear);
        resolve(state);
      };
      this.#hearing.add(hear);
    });
  }

  /** Waits for a state of the match. */
  state = (what, isSo) => within(what, this.#next(isSo), BOUND);

  /** Waits until somebody's pad has sent the ball back. */
  sendsBack(side) {
    let hits = Infinity;
    return this.state(`side ${side} to hit the ball`, (state) => {
      const isHit = state.hits > hits && Math.sign(state.ball[2]) === AWAY_FROM[side];
      ({ hits } = state);
      return isHit;
    });
  }

  /** Is where the ball will come, by `move`, until the match is over; a watcher sees the ball. */
  async follow(side, watcher, move) {
    try {
      for (;;) {
        const { ball, pads, end } = await watcher.#next();
        if (end) return;
        const aim = comesTo(side, ball);
        if (Math.abs(aim - pads[side]) > NEAR) await move(aim, pads[side], () => watcher.#rest(side));
      }
    } catch (error) {
      if (!this.page.isClosed() && !watcher.page.isClosed()) throw error;
    }
  }

  /** Holds a key for as long as a pad needs for the way, and sees where that has led. */
  byKeys = async (aim, pad, rest) => {
    const key = aim > pad ? 'ArrowDown' : 'ArrowUp';
    await this.page.keyboard.down(key);
    await delay((1000 * Math.abs(aim - pad)) / PAD.speed);
    await this.page.keyboard.up(key);
    await rest();
  };

  /** Touches the court there. */
  byTouch = async (aim, _, rest) => {
    const court = await this.page.locator('.court').boundingBox();
    if (!court) return; // the lobby is to be seen
    const { x, y, width, height } = court;
    await this.page.touchscreen.tap(x + width / 2, y + (aim / COURT.height) * height);
    await rest();
  };

  /** Waits until a pad moves no more. */
  #rest(side) {
    let before = null;
    return this.#next(({ pads }) => {
      const rests = pads[side] === before;
      before = pads[side];
      return rests;
    });
  }

  #take(text) {
    for (const { channel, data } of [JSON.parse(text)].flat()) {
      if (channel.startsWith('/tennis/match/') && data) for (const hear of this.#hearing) hear(data);
    }
  }
}

/** How high the ball will be at a side's pad, for which it may bounce; in the middle if it flies away. */
function comesTo(side, [x, y, vx, vy]) {
  if (Math.sign(vx) === AWAY_FROM[side]) return COURT.height / 2;
  const front = side === LEFT ? PAD.face : COURT.width - PAD.face;
  const room = COURT.height - 2 * BALL.radius;
  const down = Math.abs(y - BALL.radius + (vy * (front - x)) / vx) % (2 * room);
  return onCourt(BALL.radius + (down > room ? 2 * room - down : down));
}

/** Ann invites Ben, who plays; Eve looks on. */
async function begin(ann, ben, eve) {
  for (const somebody of [ann, ben, eve]) await somebody.enter();
  await ann.chooses('Ben', 'Invite');
  await ben.sees('Ann invites you');
  await ben.presses('Play');
  await eve.chooses('Ann 0 : 0 Ben', 'Watch');
  ann.follow(LEFT, eve, ann.byKeys);
  ben.follow(RIGHT, eve, ben.byTouch);
}

// They wait more than they work: for balls that are about to fly.
describe('comet tennis', { concurrency: 2 }, () => {
  test('two play, by keys and by touch, and a third looks on; one of them goes on by long-polling', () =>
    withGame(async (stage) => {
      const ann = await Somebody.open(stage, 'Ann');
      await ann.sees('node examples/tennis/start.mjs');
      await application(stage, GAME);
      const [ben, eve] = [await Somebody.open(stage, 'Ben', PHONE), await Somebody.open(stage, 'Eve')];
      await begin(ann, ben, eve);
      await eve.sendsBack(LEFT);
      await eve.sendsBack(RIGHT);

      await ann.page.getByLabel('Transport').selectOption('long-polling');
      await ann.sees('connected by long-polling');
      await eve.sendsBack(LEFT);
      await ann.page.locator('.hits', { hasText: 'hit' }).waitFor();

      await ann.presses('Give up');
      await ben.sees('Ann has given up. You have won.');
      await eve.sees('Ann has given up. Ben has won.');
      await ann.presses('Play again');
      await ben.presses('Play');
      await ann.sees('Get ready');
    }));

  test('a match outlives lost connections, pages that are loaded anew, and the game’s server', () =>
    withGame(async (stage) => {
      const gate = await Gate.start(stage.server.origin);
      stage.add(gate);
      const game = await application(stage, GAME);
      const ann = await Somebody.open(stage, 'Ann');
      const ben = await Somebody.open(stage, 'Ben', { ...PHONE, origin: gate.origin });
      const eve = await Somebody.open(stage, 'Eve');
      await begin(ann, ben, eve);
      await eve.sendsBack(RIGHT);

      gate.shut();
      await ann.sees('Ben has lost the connection');
      const paused = await eve.state('the next state');
      gate.open();
      const back = await eve.state('the match to go on', ({ phase }) => phase !== 'paused');
      assert.deepEqual([back.score, back.ball], [paused.score, paused.ball]);
      await eve.state('the ball to fly', ({ phase }) => phase === 'rally');

      const waits = eve.state('the match to wait', ({ phase }) => phase === 'paused');
      await ben.page.reload();
      await waits;
      await ben.sees('Ben (you)');
      await eve.state('the ball to fly again', ({ phase }) => phase === 'rally');

      await game.end('SIGKILL');
      await ann.sees('The game’s server is away');
      const [next] = await Promise.all([eve.state('the next state'), application(stage, GAME)]);
      assert.equal(next.phase, 'paused');
      const again = await eve.state('the ball to fly', ({ phase }) => phase === 'rally');
      assert.deepEqual([again.score, again.hits], [next.score, next.hits]);
      await eve.sendsBack(LEFT);
    }));

  test('of two windows of a player one has the pad', () =>
    withGame(async (stage) => {
      await application(stage, GAME);
      const ann = await Somebody.open(stage, 'Ann');
      await ann.chooses('The house', 'Practise');
      await ann.sees('in play');
      // As a browser does that duplicates a tab.
      const kept = await ann.page.evaluate(() => ({ ...sessionStorage }));
      const second = await ann.page.context().newPage();
      await second.addInitScript((entries) => Object.assign(sessionStorage, entries), kept);
      await second.goto(ann.page.url());
      await ann.sees('You play in another window');
      await ann.presses('Play here');
      await second.getByText('You play in another window').waitFor();
      assert.equal(await ann.page.getByText('You play in another window').isVisible(), false);
    }));

  test('one command starts Mirant and the game, with a key of its own', async () => {
    Object.assign(process.env, { MIRANT: resolve(binary()), MIRANT_HTTP__LISTEN: '127.0.0.1:0' });
    const log = [];
    const stage = { server: { url: '' }, add: (peer) => peer, log: (line) => log.push(line) };
    const both = await application(stage, 'tennis/start.mjs', '', /^listening on /);
    const [, place] = /^play at (.*)$/.exec(await both.until(/^play at /));
    await both.until(/^takes calls$/);
    for (const path of [place, '/demo/cometd.js']) assert.equal((await fetch(new URL(path, place))).status, 200, path);
    assert.equal(await both.end('SIGTERM'), 0, log.join('\n'));
  });

  test('nobody else moves a pad or says how a match stands', () =>
    withGame(async (stage) => {
      await application(stage, GAME);
      const [ann, eve] = [await RawSession.open(stage.server.url), await RawSession.open(stage.server.url)];
      const call = async (session, what, data) => {
        const sent = await session.ask(`/service/tennis/${what}`, { data, id: what });
        const later = await session.ask('/meta/connect', { connectionType: 'long-polling' });
        return [...sent, ...later].find((message) => message.data).data;
      };
      await call(ann, 'enter', { name: 'Ann' });
      assert.deepEqual(await call(ann, 'pad', { y: 1 }), { error: 'You are in no match.' });
      await call(ann, 'practise', {});
      assert.deepEqual(await call(ann, 'pad', { y: 1 }), {});
      assert.deepEqual(await call(eve, 'pad', { y: 1 }), { error: 'Enter first.' });
      assert.deepEqual(await call(eve, 'enter', { name: ' ' }), { error: 'Please say a name.' });
      for (const channel of ['/tennis/lobby', '/tennis/match/x']) {
        const [{ error }] = await eve.ask(channel, { data: {} });
        assert.match(error, /^403:.*:publish_denied/);
      }
    }));
});
