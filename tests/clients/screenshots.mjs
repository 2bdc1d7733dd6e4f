// Takes the screenshots of docs/introduction.md anew, with two people on each demonstration:
//   MIRANT_BIN=target/release/mirant node tests/clients/screenshots.mjs [NAME …]
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { launch } from './support/browser.mjs';
import { application } from './support/connected.mjs';
import { Demo, FLAGS } from './support/demo.mjs';
import { freePort } from './support/proxy.mjs';
import { Server, binary } from './support/server.mjs';
import { onStage, onStageOf } from './support/stage.mjs';

const pathOf = (path) => fileURLToPath(new URL(path, import.meta.url));
const OPTIONS = { viewport: { width: 1200, height: 780 }, colorScheme: 'light' };
const KEY = 'mirant_0123456789012345678901234567890123456789012';
/** What people do on each demonstration before it is shown. */
const ACTS = { chat, ticker: () => {}, drawing, tennis, http };

// The configuration of the game and its server read it.
process.env.TENNIS_KEY = KEY;
const asked = process.argv.slice(2);
const isAsked = (name) => asked.length === 0 || asked.includes(name);
const browser = await launch();
try {
  await demonstrations();
  if (isAsked('admin')) await adminPage();
} finally {
  await browser.close();
}

async function demonstrations() {
  const flags = [...FLAGS, '--config', pathOf('../../examples/tennis/mirant.toml')];
  await onStageOf(await Server.start([], flags), async (stage) => {
    if (isAsked('tennis')) await application(stage, 'tennis/main.mjs');
    const demo = new Demo(browser, stage.server);
    for (const [name, act] of Object.entries(ACTS)) {
      if (!isAsked(name)) continue;
      const pages = [await demo.open(name, OPTIONS), await demo.open(name, OPTIONS)];
      await act(...pages);
      await shoot(name, pages[0]);
      for (const page of pages) await page.context().close();
    }
  });
}

/** Shows what a few hundred clients do. */
async function adminPage() {
  const listen = `127.0.0.1:${await freePort()}`;
  const hash = createHash('sha256').update(KEY).digest('hex');
  const key = `api.key=[{ name = "operator", hash = "sha256:${hash}", allow = ["admin"] }]`;
  await onStage([`admin.listen=["${listen}"]`, key], async ({ server }) => {
    const load = ['--clients', '300', '--rooms', '30', '--rate', '100', '--messages', '6000'];
    const bench = spawn(binary(), ['bench', 'rooms', '--url', server.url, ...load], { stdio: 'ignore' });
    const exit = once(bench, 'exit');
    const page = await (await browser.newContext(OPTIONS)).newPage();
    await page.goto(`http://${listen}/`);
    await page.getByRole('textbox').or(page.locator('input[type=password]')).first().fill(KEY);
    await page.keyboard.press('Enter');
    await shoot('admin', page, 15_000);
    bench.kill('SIGINT');
    await exit;
    await page.context().close();
  });
}

/** Waits a while, so that there is something to see: this is for pictures, not a test. */
async function shoot(name, page, pause = 5_000) {
  await page.waitForTimeout(pause);
  await page.screenshot({ path: pathOf(`../../docs/images/${name}.png`) });
  console.log(`${name}: taken`);
}

async function chat(anna, ben) {
  for (const [page, name] of [[anna, 'Anna'], [ben, 'Ben']]) {
    await page.getByRole('textbox', { name: 'Your name' }).fill(name);
    await page.keyboard.press('Enter');
  }
  const texts = ['Anybody here?', 'Yes. Isti mirant stella.', 'Then look up!', 'I reload the page, and it is all still there.'];
  for (const [at, text] of texts.entries()) {
    const page = [anna, ben][at % 2];
    await page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
    for (const reader of [anna, ben]) await reader.getByRole('log').getByText(text, { exact: true }).waitFor();
  }
}

/** Each draws a star. */
async function drawing(...pages) {
  for (const [at, page] of pages.entries()) {
    const box = await page.locator('#live').boundingBox();
    const radius = Math.min(box.width, box.height) / 4;
    for (let turn = 0; turn <= 20; turn += 1) {
      const angle = (turn * Math.PI) / 10;
      const far = turn % 4 === 0 ? radius : radius * 0.45;
      const [x, y] = [box.x + box.width * (0.3 + 0.4 * at) + far * Math.sin(angle), box.y + box.height / 2 - far * Math.cos(angle)];
      await page.mouse.move(x, y, { steps: 3 });
      if (turn === 0) await page.mouse.down();
    }
    await page.mouse.up();
  }
}

/** Two begin a match. */
async function tennis(ann, ben) {
  for (const [page, name] of [[ann, 'Ann'], [ben, 'Ben']]) {
    await page.getByLabel('Your name').fill(name);
    await page.keyboard.press('Enter');
    await page.getByText(`${name} (you)`).waitFor();
  }
  await ann.getByRole('listitem').filter({ hasText: 'Ben' }).getByRole('button', { name: 'Invite' }).click();
  await ben.getByRole('button', { name: 'Play', exact: true }).click();
}

/** Sends the first request of the page. */
async function http(page) {
  await page.getByRole('button').first().click();
}
