// How docs/quick-start.md is run: as a user does, from its first step to its last, with only the ports changed.
import assert from 'node:assert/strict';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { launch } from './browser.mjs';
import { read, snippets } from './documents.mjs';
import { freePort } from './proxy.mjs';
import { staticResponse } from './static.mjs';
import { within } from './within.mjs';

const GUIDE = 'docs/quick-start.md';
/** What stands in each snippet of the guide, in their order; the first one runs all. */
const SIGNS = [
  'allowed_origins = ["http://127.0.0.1:8000"]',
  'mirant check-config mirant.toml && mirant serve',
  'mirant.toml: ok\nlistening on',
  '<title>Listening</title>',
  'python3 -m http.server',
  '\'{"text":"hello"}\'',
  'npm install --prefix page cometd',
  '<title>Chat</title>',
  'secret = { env = "PUSH_KEY" }',
  'PUSH_KEY=$(cat key.txt)',
  'mirant: refused: 403:/chat/demo:publish_denied',
  'Bearer $(cat key.txt)',
];

export const RUNS = Object.fromEntries(SIGNS.map((sign, at) => [sign, at === 0 ? walk : isInTheWalk]));

/** The walk has it: it takes all that the guide has. */
async function isInTheWalk() {}

async function walk(_, { shell }) {
  const ports = { 8080: await freePort(), 8081: await freePort(), 8000: await freePort() };
  const local = (text) => text.replace(/127\.0\.0\.1:(80\d\d)/g, (_, port) => `127.0.0.1:${ports[port]}`);
  // The first builds the program.
  const [, ...all] = snippets(await read(GUIDE));
  assert.deepEqual(all.map(({ text }, at) => text.includes(SIGNS[at])), SIGNS.map(() => true));
  const [config, serve, announcement, listening, host, publish, , chat, access, serveWithKey, refusal, push] =
    all.map(({ text }) => local(text).replace('http.server 8000', `http.server ${ports[8000]}`));
  const start = async (command) => {
    const server = shell.start(`export MIRANT_HTTP__LISTEN=127.0.0.1:${ports[8080]}\n${command}`);
    await server.until(new RegExp(announcement.split('\n')[1]));
    return server;
  };
  const stop = async (server) => {
    process.kill(-server.pid, 'SIGINT');
    await within('the end of the server', server.exit);
  };

  await writeFile(join(shell.folder, 'mirant.toml'), config);
  let server = await start(serve);
  await mkdir(join(shell.folder, 'page'));
  await writeFile(join(shell.folder, 'page/index.html'), listening);
  await writeFile(join(shell.folder, 'page/chat.html'), chat);
  await shell.start(`export PYTHONUNBUFFERED=1; exec ${host}`).until(/^Serving HTTP/);
  const site = `http://127.0.0.1:${ports[8000]}`;

  const browser = await launch();
  try {
    const context = await browser.newContext();
    await context.route('**/node_modules/cometd/*.js', async (route) =>
      route.fulfill(await staticResponse(`/static/cometd/${new URL(route.request().url()).pathname.split('/').at(-1)}`)),
    );
    const page = await context.newPage();
    await page.goto(site);
    const says = (text) => page.getByText(text, { exact: true }).first().waitFor();
    await says('connected');
    await shell.run(publish);
    await says('hello');
    await page.reload();
    await says('hello');
    await stop(server);
    await says('reconnecting');
    server = await start(serve);
    await says('connected');

    const windows = [await context.newPage(), await context.newPage()];
    for (const window of windows) {
      const subscribed = receives(window, '/meta/subscribe');
      await window.goto(`${site}/chat.html`);
      await within('the subscription', subscribed);
    }
    await windows[0].getByPlaceholder('Say something').fill('from a window');
    await windows[0].keyboard.press('Enter');
    for (const window of [...windows, page]) await window.getByText('from a window', { exact: true }).first().waitFor();

    await stop(server);
    await appendFile(join(shell.folder, 'mirant.toml'), access);
    server = await start(serveWithKey);
    assert.equal(await shell.run(`${publish.trimEnd()} 2>&1 || [ $? = 1 ]`), refusal);
    await says('connected');
    assert.match(await shell.run(push), /^\{"accepted":true,"channel":"\/chat\/demo","receivers":\d+,/);
    await says('from my server');
  } finally {
    await browser.close();
  }
}

/** Waits until a WebSocket of a page has a text in what it receives. */
function receives(page, text) {
  return new Promise((resolve) => {
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        if (payload.includes(text)) resolve();
      }),
    );
  });
}
