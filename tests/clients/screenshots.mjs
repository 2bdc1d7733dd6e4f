// Takes the screenshots of docs/introduction.md anew, with two people on each demonstration:
//   MIRANT_BIN=target/release/mirant node tests/clients/screenshots.mjs [NAME …]
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { launch } from './support/browser.mjs';
import { freePort } from './support/proxy.mjs';
import { Server, binary } from './support/server.mjs';

const IMAGES = new URL('../../docs/images/', import.meta.url);
const VIEWPORT = { width: 1200, height: 780 };
const KEY = 'mirant_of_the_screenshots_1234567890123456789012345';

/** What is to be seen, and what two people do on it before; each gets the pages of both. */
const SHOTS = {
  chat: { path: '/demo/chat', act: say },
  ticker: { path: '/demo/ticker', act: ([page]) => settle(page) },
  drawing: { path: '/demo/drawing', act: draw },
  tennis: { path: '/demo/tennis', act: ([page]) => settle(page) },
  http: { path: '/demo/http', act: ([page]) => settle(page) },
  admin: { path: '/', act: signIn },
};

const names = process.argv.slice(2);
const admin = `127.0.0.1:${await freePort()}`;
const hash = createHash('sha256').update(KEY).digest('hex');
const settings = [`admin.listen=["${admin}"]`, `api.key=[{ name = "operator", hash = "sha256:${hash}", allow = ["admin"] }]`];
const server = await Server.start(settings, ['--demo']);
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
  const texts = ['Anybody here?', 'Yes. Isti mirant stella.', 'Look up, then.'];
  for (const [at, text] of texts.entries()) {
    const page = pages[at % 2];
    const field = page.getByRole('textbox').last();
    await field.fill(text);
    await field.press('Enter');
    await settle(page);
  }
}

async function draw(pages) {
  for (const [at, page] of pages.entries()) {
    await settle(page);
    const canvas = await page.locator('canvas').first().boundingBox();
    const point = (turn) => [
      canvas.x + canvas.width * (0.3 + 0.4 * at) + Math.cos(turn) * 80 * (turn % 2 < 1 ? 1 : 0.5),
      canvas.y + canvas.height * 0.5 + Math.sin(turn) * 80 * (turn % 2 < 1 ? 1 : 0.5),
    ];
    await page.mouse.move(...point(0));
    await page.mouse.down();
    for (let turn = 0; turn <= 6.4; turn += 0.2) await page.mouse.move(...point(turn));
    await page.mouse.up();
  }
  await settle(pages[0]);
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
