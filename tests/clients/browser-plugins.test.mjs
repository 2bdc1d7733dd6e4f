import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { browserPeer, launch } from './support/browser.mjs';
import { PLUGINS } from './support/plugins.mjs';
import { onStage } from './support/stage.mjs';
import { serveStatic } from './support/static.mjs';

let browser;
const pages = await serveStatic();
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await pages.close();
});

const settings = [`http.allowed_origins=["${pages.origin}"]`];
const sameOrigin = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const crossOrigin = (page) => (stage, name) =>
  browserPeer(stage, name, browser, `${page}?server=${stage.server.origin}`, pages.origin);

for (const { transport, crosses = true, renewing, ...variant } of PLUGINS) {
  for (const [name, page] of [
    ['cometd 9.0.0', 'cometd-plugins.html'],
    ['cometd 7.0.19', 'cometd-7-plugins.html'],
    ['cometd 3.1.14', 'cometd-3-plugins.html'],
  ]) {
    behaviours({
      name: `${name} in a browser with the plug-in ${transport}`,
      open: sameOrigin(page),
      transport,
      ...variant,
    });
  }
  if (!crosses) continue;
  behaviours({
    name: `cometd 9.0.0 in a browser with the plug-in ${transport}, cross-origin`,
    open: crossOrigin('cometd-plugins.html'),
    transport,
    settings,
    ...variant,
  });
}

describe('cometd 9.0.0 with plug-ins, by its own order,', () => {
  const transports = PLUGINS.map(({ transport }) => transport).concat('long-polling');
  const chosen = async (stage, open) =>
    stage.add(await open(stage, 'alice')).connect(stage.server.url, { transports });
  const same = sameOrigin('cometd-plugins.html');
  const cross = crossOrigin('cometd-plugins.html');

  test('takes the first that the server has', () =>
    onStage([], async (stage) => {
      assert.equal(await chosen(stage, same), 'xhr-streaming');
    }));

  test('polls where the server has none of them', () =>
    onStage(['bayeux.transports=["long-polling"]'], async (stage) => {
      assert.equal(await chosen(stage, same), 'long-polling');
    }));

  test('has no frame on pages of other sites', () =>
    onStage([...settings, 'bayeux.transports=["iframe", "long-polling"]'], async (stage) => {
      assert.equal(await chosen(stage, cross), 'long-polling');
    }));
});
