import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch } from './support/browser.mjs';
import { Demo, FLAGS, TRANSPORTS } from './support/demo.mjs';
import { metricIs } from './support/metrics.mjs';
import { freePort } from './support/proxy.mjs';
import { Server } from './support/server.mjs';

let server, admin, browser, demo;

before(async () => {
  admin = `127.0.0.1:${await freePort()}`;
  server = await Server.start([`admin.listen=["${admin}"]`], FLAGS);
  browser = await launch();
  demo = new Demo(browser, server);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

describe('the drawing', () => {
  let anna, ben;
  let drawn = 0;

  const sheet = (page) => page.locator('#live');
  const shows = (page, count) =>
    page.getByRole('application', { name: `The sheet: ${count} ${count === 1 ? 'stroke' : 'strokes'}` }).waitFor();

  /** Draws a short line from a place, of which the parts say how far right and down it is. */
  async function draw(page, x, y) {
    const box = await sheet(page).boundingBox();
    const at = (right, down) => [box.x + box.width * right, box.y + box.height * down];
    await page.mouse.move(...at(x, y));
    await page.mouse.down();
    await page.mouse.move(...at(x + 0.1, y + 0.1), { steps: 4 });
    await page.mouse.up();
    drawn += 1;
  }

  /** Whether there is something on the canvas of finished strokes. */
  const isBlank = (page) =>
    page.evaluate(() => {
      const canvas = document.querySelector('#done');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.every((value) => value === 0);
    });

  before(async () => {
    [anna, ben] = [await demo.open('drawing'), await demo.open('drawing')];
  });

  test('a stroke appears on the sheet of the other, and so does the pointer', async () => {
    assert.ok(await isBlank(ben));
    await draw(anna, 0.2, 0.2);
    await shows(ben, 1);
    assert.ok(!(await isBlank(ben)));
    await ben.locator('.pointers div').waitFor();
  });

  test('it is drawn with the keyboard, too', async () => {
    await sheet(ben).focus();
    for (const key of [' ', 'ArrowRight', 'ArrowDown', ' ']) await ben.keyboard.press(key);
    drawn += 1;
    await shows(anna, 2);
  });

  test('who comes later sees what was drawn, and so does who loads the page again', async () => {
    const late = await demo.open('drawing');
    await shows(late, drawn);
    assert.ok(!(await isBlank(late)));
    await late.context().close();
    await anna.reload();
    await shows(anna, drawn);
    await demo.connected(anna);
  });

  for (const [index, name] of TRANSPORTS.entries()) {
    test(`it goes on by ${name}`, async () => {
      await demo.moveTo(anna, name);
      await draw(anna, index / 10, 0.4);
      await shows(ben, drawn);
      await draw(ben, index / 10, 0.6);
      await shows(anna, drawn);
    });
  }

  test('a stroke is taken back, and the sheet is cleared', async () => {
    await anna.getByRole('button', { name: 'Undo mine' }).click();
    await shows(ben, drawn - 1);
    await ben.getByRole('button', { name: 'Clear the sheet' }).click();
    await shows(anna, 0);
    assert.ok(await isBlank(anna));
  });
});

describe('the ticker', () => {
  let page;

  before(async () => {
    page = await demo.open('ticker');
  });

  /** Waits for more messages than the client sends by itself. */
  async function ticks() {
    const count = async () => Number((await page.locator('.wire summary span').textContent()).replace(/\D/g, ''));
    const enough = (await count()) + 100;
    await page.waitForFunction((least) => {
      const { textContent } = document.querySelector('.wire summary span');
      return Number(textContent.replace(/\D/g, '')) >= least;
    }, enough);
  }

  test('it has a hundred prices, with the curves of those before', async () => {
    await page.locator('.tile').nth(99).waitFor();
    assert.equal(await page.locator('.tile').count(), 100);
    const curve = await page.locator('.tile polyline').first().getAttribute('points');
    assert.ok(curve.includes(' '), curve);
  });

  for (const name of TRANSPORTS) {
    test(`prices come by ${name}`, async () => {
      await demo.moveTo(page, name);
      await ticks();
    });
  }

  test('who is slow gets the newest prices only', async () => {
    const slow = page.getByRole('button', { name: 'Be slow' });
    const skipped = async () => Number((await page.locator('#skipped').textContent()).replace(/\D/g, ''));
    const before = await skipped();
    await slow.click();
    await demo.connected(page, 'long-polling');
    await page.waitForFunction((least) => {
      const { textContent } = document.querySelector('#skipped');
      return Number(textContent.replace(/\D/g, '')) > least;
    }, before + 50);
    await slow.click();
    await demo.connected(page, 'WebSocket');
  });
});

describe('the page of plain HTTP', () => {
  let anna, ben;

  const step = (page, name) => page.getByRole('region', { name, exact: true });
  const press = (page, name) => step(page, name).locator('.do button').click();
  const answer = (page, name, text) => step(page, name).locator('.answer').filter({ hasText: text }).waitFor();

  async function open() {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${server.origin}/demo/http`);
    await step(page, 'Delete it').waitFor();
    return page;
  }

  before(async () => {
    [anna, ben] = [await open(), await open()];
  });

  test('what one writes, the other reads, and hears by both streams', async () => {
    await press(ben, 'Listen to channels');
    await answer(ben, 'Listen to channels', 'text/event-stream');
    await press(ben, 'Listen to a resource');
    await press(anna, 'Write it');
    await answer(anna, 'Write it', '201');
    await answer(ben, 'Listen to channels', '"data":["line 1"]');
    await answer(ben, 'Listen to a resource', 'HTTP/1.1 200 OK');
    await press(ben, 'Read it');
    await answer(ben, 'Read it', '["line 1"]');
    await press(ben, 'Read it only if it has changed');
    await answer(ben, 'Read it only if it has changed', '304');
  });

  test('who waits gets the part that another has changed', async () => {
    await press(ben, 'Wait for a change');
    // And the stream.
    await metricIs(`http://${admin}`, 'mirant_watched_resources', 2);
    await press(anna, 'Change a part of it');
    await answer(anna, 'Change a part of it', '200');
    await answer(ben, 'Wait for a change', ',"line 2"]');
    await answer(ben, 'Wait for a change', '206');
  });

  test('it is in the history, and may be deleted', async () => {
    await press(anna, 'Read what was published before');
    await answer(anna, 'Read what was published before', '"data":["line 1","line 2"]');
    await press(anna, 'Delete it');
    await answer(anna, 'Delete it', '204');
    await answer(ben, 'Listen to a resource', '410 Gone');
  });
});

describe('on a phone', () => {
  for (const path of ['', 'demo/chat', 'demo/ticker', 'demo/drawing', 'demo/http']) {
    test(`/${path} is as wide as the screen`, async () => {
      const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
      const page = await context.newPage();
      await page.goto(`${server.origin}/${path}`);
      await page.getByRole('navigation', { name: 'Demonstrations' }).waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
      await context.close();
    });
  }
});
