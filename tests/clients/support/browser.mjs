import { chromium } from 'playwright-core';

import { skewClock } from '../drivers/clock.mjs';
import { Peer } from './peer.mjs';
import { staticResponse } from './static.mjs';

/** Only the tests' own traffic, and no file outside the profile playwright makes. */
const FLAGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--no-proxy-server',
];

export const launch = (flags = []) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [...FLAGS, ...flags],
  });

/**
 * Opens a page of its own browser context, so with its own cookies. The field `ahead` of the page's
 * query is how far its clock is ahead (ms).
 *
 * @param {object} stage
 * @param {string} name
 * @param {Browser} browser
 * @param {string} page a file of `pages/`
 * @param {string} [origin] where the page is from; by default the server's own
 * @param {object} [options] of the context
 */
export async function browserPeer(
  stage,
  name,
  browser,
  page,
  origin = stage.server.origin,
  options = {},
) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  const peer = new Peer(
    name,
    (operation, ...args) =>
      tab.evaluate(([op, values]) => globalThis.driver[op](...values), [operation, args]),
    () => context.close(),
  );

  const watched = (request) => request.url().replace(/^ws:/, 'http:').startsWith(stage.server.url);
  tab.on('request', (request) => {
    if (watched(request)) peer.report({ type: 'request' });
  });
  tab.on('response', (response) => {
    if (watched(response.request())) peer.report({ type: 'status', status: response.status() });
  });
  tab.on('requestfinished', (request) => {
    if (watched(request)) peer.report({ type: 'response' });
  });
  tab.on('requestfailed', (request) => {
    if (!watched(request)) return;
    const reason = `${request.url()}: ${request.failure().errorText}`;
    peer.report({ type: 'failure', reason });
  });
  // A WebSocket counts as a request that is answered when it is closed.
  tab.on('websocket', (socket) => {
    if (!watched(socket)) return;
    peer.report({ type: 'request' });
    let end = { type: 'response' };
    socket.once('socketerror', (error) => {
      end = { type: 'failure', reason: `${socket.url()}: ${error}` };
    });
    socket.once('close', () => peer.report(end));
  });
  tab.on('console', (message) => stage.log(`${name}: ${message.text()}`));
  tab.on('pageerror', (error) => stage.log(`${name}: ${error.stack}`));
  await tab.exposeFunction('report', (event) => peer.report(event));

  if (origin === stage.server.origin) {
    // The page has the server's origin without the server serving it. A context that intercepts
    // requests answers preflights by itself, so a page of another origin must not have this.
    await context.route(`${origin}/static/**`, async (route) => {
      await route.fulfill(await staticResponse(route.request().url()));
    });
    // Such a page has no address, so to Chromium this server is in another network.
    await context.grantPermissions(['local-network-access']);
  }
  const ahead = new URL(page, origin).searchParams.get('ahead');
  if (ahead) await tab.addInitScript(skewClock, Number(ahead));
  const isReady = () => tab.waitForFunction(() => globalThis.driver !== undefined);
  await tab.goto(`${origin}/static/pages/${page}`);
  await isReady();
  peer.reload = async () => {
    await tab.reload();
    await isReady();
  };
  /** Keeps a cookie of the page's origin that no script sees. */
  peer.setCookie = (key, value) =>
    context.addCookies([{ name: key, value, url: origin, httpOnly: true }]);
  return peer;
}
