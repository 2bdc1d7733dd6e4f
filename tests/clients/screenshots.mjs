// Takes the screenshots of docs/introduction.md anew, with two people on each demonstration:
//   MIRANT_BIN=target/release/mirant node tests/clients/screenshots.mjs [NAME …]
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { launch } from './support/browser.mjs';
import { FLAGS } from './support/demo.mjs';
import { freePort } from './support/proxy.mjs';
import { Server, binary } from './support/server.mjs';

const IMAGES = new URL('../../docs/images/', import.meta.url);
const VIEWPORT = { width: 1200, height: 780 };
const KEY = 'mirant_of_the_screenshots_1234567890123456789012345';

/** What is to be seen, and what two people do on it before; each gets the pages of both. */
const SHOTS = {
  chat: { path: '/demo/chat', act: say },
  ticker: { path: '/demo/ticker', act: ([page]) => grow(page) },
  drawing: { path: '/demo/drawing', act: draw },
  tennis: { path: '/demo/tennis', act: ([page]) => settle(page) },
  http: { path: '/demo/http', act: ask },
  admin: { path: '/', act: signIn },
};

const names = process.argv.slice(2);
const admin = `127.0.0.1:${await freePort()}`;
const hash = createHash('sha256').update(KEY).digest('hex');
const settings = [`admin.listen=["${admin}"]`, `api.key=[{ name = "operator", hash = "sha256:${hash}", allow = ["admin"] }]`];
const server = await Server.start(settings, FLAGS);
const browser = await launch();
try {
  for (const [name, { path, act }] of Object.entries(SHOTS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const origin = name === 'admin' ? `http://${admin}` : server.origin;
    const pages = [await open(`${origin}${path}`), await open(`${origin}${path}`)];
    if (pages.includes(undefined)) {
      console.log(`${name}: there is no ${path}; its image stays as it is`);
      continue;
    }
    const end = await act(pages);
    await pages[0].screenshot({ path: fileURLToPath(new URL(`${name}.png`, IMAGES)) });
    await end?.();
    for (const page of pages) await page.context().close();
    console.log(`${name}: taken`);
  }
} finally {
  await browser.close();
  await server.stop();
}

/** A page of somebody's own, or nothing if there is none. */
async function open(url) {
  const context = await browser.newContext({ viewport: VIEWPORT, colorScheme: 'light', reducedMotion: 'reduce' });
  const page = await context.newPage();
  const response = await page.goto(url);
  return response.ok() ? page : undefined;
}

/** Waits until nothing is loaded any more, and shows what came since. */
async function settle(page) {
  await page.waitForLoadState('load');
  // For a picture, not for a test: time for figures and for a few events.
  await page.waitForTimeout(4_000);
}

async function say(pages) {
  for (const [at, name] of ['Anna', 'Ben'].entries()) {
    const field = pages[at].getByRole('textbox', { name: 'Your name' });
    await field.fill(name);
    await field.press('Enter');
  }
  const texts = ['Anybody here?', 'Yes. Isti mirant stella.', 'Look up, then.', 'By long-polling, and the session goes on.'];
  for (const [at, text] of texts.entries()) {
    const page = pages[at % 2];
    if (at === 3) await pages[0].getByRole('combobox', { name: 'Transport' }).selectOption('long-polling');
    const field = page.getByRole('textbox', { name: 'Message', exact: true });
    await field.fill(text);
    await field.press('Enter');
    await settle(page);
  }
}

/** Waits for curves with something on them. */
async function grow(page) {
  for (let times = 0; times < 5; times += 1) await settle(page);
}

/** A star of the one, and a sky line of the other. */
async function draw(pages) {
  const star = Array.from({ length: 11 }, (_, corner) => {
    const turn = (corner * Math.PI) / 5 - Math.PI / 2;
    const size = corner % 2 ? 0.09 : 0.22;
    return [0.3 + Math.cos(turn) * size * 0.64, 0.36 + Math.sin(turn) * size];
  });
  const hills = Array.from({ length: 31 }, (_, at) => [0.04 + at * 0.03, 0.8 + Math.sin(at / 2.3) * 0.06]);
  for (const [at, line] of [star, hills].entries()) {
    const page = pages[at];
    await page.locator('.colours label').nth(at === 0 ? 2 : 3).click();
    const { x, y, width, height } = await page.locator('#live').boundingBox();
    const [first, ...others] = line.map(([right, down]) => [x + right * width, y + down * height]);
    await page.mouse.move(...first);
    await page.mouse.down();
    for (const point of others) await page.mouse.move(...point, { steps: 4 });
    await page.mouse.up();
  }
  await pages[0].getByRole('application', { name: '2 strokes' }).waitFor();
  await pages[1].mouse.move(700, 420, { steps: 5 });
  await pages[0].waitForTimeout(500);
}

/** Opens the streams, and changes what they tell of. */
async function ask([page]) {
  for (const name of ['Listen to channels', 'Listen to a resource', 'Write it', 'Change a part of it', 'Read it']) {
    await page.getByRole('region', { name, exact: true }).locator('.do button').click();
    await page.waitForTimeout(1_000);
  }
  await page.evaluate(() => scrollTo(0, 0));
}

/** Shows what a few hundred clients do, who stay until the function that it returns is called. */
async function signIn([page]) {
  const load = ['--clients', '300', '--rooms', '30', '--rate', '100', '--messages', '6000'];
  const bench = spawn(binary(), ['bench', 'rooms', '--url', server.url, ...load], { stdio: 'ignore' });
  const exit = once(bench, 'exit');
  await page.getByRole('textbox').or(page.locator('input[type=password]')).first().fill(KEY);
  await page.keyboard.press('Enter');
  await page.waitForTimeout(15_000);
  return async () => {
    bench.kill('SIGINT');
    await exit;
  };
}
