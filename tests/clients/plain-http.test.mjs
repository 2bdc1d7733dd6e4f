// Pages of hosts that browsers do not trust: over plain HTTP they send no `Sec-Fetch-Site`.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { browserPeer, launch } from './support/browser.mjs';
import { post } from './support/requests.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';

const NEWS = '/news';
let browser;
const pages = await serveStatic();
const from = (host) => pages.origin.replace('127.0.0.1', host);
before(async () => {
  browser = await launch([
    '--host-resolver-rules=MAP *.test 127.0.0.1',
    // To Chromium pages that the tests serve themselves are not on this machine, as the server is.
    '--disable-features=LocalNetworkAccessChecks',
  ]);
});
after(async () => {
  await browser?.close();
  await pages.close();
});

/** Runs `play` with a server that is known as `push.test`. */
const withServer = (play) =>
  onStage([`http.allowed_origins=["${from('friend.test')}"]`], async (stage) => {
    const at = (url) => url.replace('127.0.0.1', 'push.test');
    const named = {
      server: { url: at(stage.server.url), origin: at(stage.server.origin) },
      log: (line) => stage.log(line),
    };
    await play(stage, named);
  });

/** What a page does with script elements alone; with what it hears, or what kept it from that. */
function attack(url, referrerPolicy) {
  let calls = 0;
  const call = (messages) =>
    new Promise((resolve, reject) => {
      calls += 1;
      const name = `heard${calls}`;
      globalThis[name] = resolve;
      const script = document.createElement('script');
      script.referrerPolicy = referrerPolicy;
      script.onerror = () => reject(new Error('blocked'));
      const message = encodeURIComponent(JSON.stringify(messages));
      script.src = `${url}?jsonp=${name}&message=${message}`;
      document.body.append(script);
    });
  return call([{ channel: '/meta/handshake', version: '1.0' }]).then(
    ([{ successful }]) => (successful ? 'served' : 'failed'),
    ({ message }) => message,
  );
}

describe('over plain HTTP', () => {
  for (const [host, policy, expected] of [
    ['evil.test', 'no-referrer', 'blocked'],
    ['evil.test', 'unsafe-url', 'blocked'],
    ['friend.test', 'no-referrer', 'blocked'],
    ['friend.test', 'origin', 'served'],
  ]) {
    test(`scripts of a page of ${host} with the policy ${policy} are ${expected}`, () =>
      withServer(async (stage, named) => {
        const context = await browser.newContext();
        stage.add({ close: () => context.close() });
        const tab = await context.newPage();
        await tab.goto(`${from(host)}/static/pages/resources.html`);
        assert.equal(await tab.evaluate(`(${attack})('${named.server.url}', '${policy}')`), expected);
      }));
  }

  test('a frame calls no function of another page', () =>
    withServer(async (stage, named) => {
      const handshake = { channel: '/meta/handshake', version: '1.0' };
      const { text } = await post(stage.server.url, [handshake]);
      const [{ clientId }] = JSON.parse(text);
      const context = await browser.newContext();
      stage.add({ close: () => context.close() });
      const tab = await context.newPage();
      await tab.goto(`${from('evil.test')}/static/pages/resources.html`);
      const message = JSON.stringify([
        { channel: '/meta/connect', clientId, connectionType: 'iframe' },
      ]);
      for (const name of ['document.body.remove', 'close']) {
        const query = new URLSearchParams({ jsonp: name, message });
        const response = await tab.goto(`${named.server.url}?${query}`, { referer: '' });
        assert.ok([400, 403].includes(response.status()), `${name}: ${response.status()}`);
      }
    }));

  for (const [name, page, transport] of [
    ['cometd 9.0.0', 'cometd.html', 'long-polling'],
    ['cometd 9.0.0', 'cometd.html', 'callback-polling'],
    ['cometd-jquery 3.0.0', 'cometd-jquery.html', 'callback-polling'],
    ['dojox.cometd 1.7', 'dojox-1.7.html', 'callback-polling'],
    ['faye 1.4.3', 'faye.html', 'callback-polling'],
  ]) {
    for (const host of ['push.test', 'friend.test']) {
      // These two choose long-polling by themselves for pages of the server's own.
      const isChosen = transport === 'callback-polling' && /dojox|faye/.test(name);
      if (host === 'push.test' && isChosen) continue;
      test(`${name} of a page of ${host} hears of events by ${transport}`, () =>
        withServer(async (stage, named) => {
          const origin = host === 'push.test' ? named.server.origin : from(host);
          const peer = stage.add(await browserPeer(named, 'page', browser, page, origin));
          const options = { transports: [transport] };
          assert.equal(await peer.connect(named.server.url, options), transport);
          await peer.subscribe(NEWS);
          for (const data of ['one', 'two', 'three']) {
            await peer.publish(NEWS, data);
            assert.deepEqual(await peer.receive(), { channel: NEWS, data });
          }
        }));
    }
  }
});
