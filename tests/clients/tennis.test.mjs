// Comet tennis of the demonstrations, with the game's server of examples/: two browsers play, a third looks on, and
// connections and the game's server are lost in the middle.
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

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
const [LEFT, RIGHT] = [0, 1];
/** How far from the ball a player lets the pad be. */
const NEAR = 3;

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
  #held = null;

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
  chooses = (line, name) => this.page.getByRole('listitem').filter({ hasText: line }).getByRole('button', { name }).click();

  /** Waits for a state of the match, as it comes by WebSocket from now on. */
  state(what, isSo = () => true) {
    const come = new Promise((resolve) => {
      const hear = (state) => {
        if (!isSo(state)) return;
        this.#hearing.delete(hear);
        resolve(state);
      };
      this.#hearing.add(hear);
    });
    return within(what, come, 40_000);
  }

  /** Waits until somebody's pad has sent the ball back. */
  sendsBack(side) {
    let before;
    return this.state(`side ${side} to hit the ball`, (state) => {
      const isHit = state.hits > before?.hits && Math.sign(before.ball[2]) === [-1, 1][side] && state.ball[2] * before.ball[2] < 0;
      before = state;
      return isHit;
    });
  }

  /** Follows the ball by `move` for as long as there is a page, as a watcher sees the ball. */
  follow(side, watcher, move) {
    let isBusy = false;
    watcher.#hearing.add(async ({ ball, pads }) => {
      if (isBusy) return;
      isBusy = true;
      await move(ball[1], pads[side]).catch((error) => {
        if (!this.page.isClosed()) throw error;
      });
      isBusy = false;
    });
  }

  /** Holds the key by which the pad comes nearer to the ball. */
  byKeys = async (ball, pad) => {
    const key = Math.abs(ball - pad) < NEAR ? null : ball > pad ? 'ArrowDown' : 'ArrowUp';
    if (key === this.#held) return;
    if (this.#held) await this.page.keyboard.up(this.#held);
    this.#held = key;
    if (key) await this.page.keyboard.down(key);
  };

  /** Touches the court where the ball is. */
  byTouch = async (ball) => {
    const { x, y, width, height } = await this.page.locator('.court').boundingBox();
    await this.page.touchscreen.tap(x + width / 2, y + (ball / 90) * height);
  };

  #take(text) {
    for (const { channel, data } of [JSON.parse(text)].flat()) {
      if (channel.startsWith('/tennis/match/') && data) for (const hear of this.#hearing) hear(data);
    }
  }
}

/** Ann invites Ben, who plays; Eve looks on. */
async function begin(ann, ben, eve) {
  for (const somebody of [ann, ben, eve]) await somebody.enter();
  await ann.chooses('Ben', 'Invite');
  await ben.sees('Ann invites you');
  await ben.presses('Play');
  await eve.chooses('Ann 0 : 0 Ben', 'Watch');
  ann.follow(LEFT, eve, ann.byKeys);
}

describe('comet tennis', () => {
  test('two play, by keys and by touch, and a third looks on; one of them goes on by long-polling', () =>
    withGame(async (stage) => {
      const ann = await Somebody.open(stage, 'Ann');
      await ann.sees('node examples/tennis/start.mjs');
      await application(stage, GAME);
      const [ben, eve] = [await Somebody.open(stage, 'Ben', PHONE), await Somebody.open(stage, 'Eve')];
      await begin(ann, ben, eve);
      ben.follow(RIGHT, eve, ben.byTouch);
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
      const ben = await Somebody.open(stage, 'Ben', { origin: gate.origin });
      const eve = await Somebody.open(stage, 'Eve');
      await begin(ann, ben, eve);
      ben.follow(RIGHT, eve, ben.byKeys);
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
        return [...sent, ...(await session.ask('/meta/connect', { connectionType: 'long-polling' }))].find((message) => message.data).data;
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
