import { after, before } from 'node:test';

import { behaviours } from './support/behaviour.mjs';
import { browserPeer, launch } from './support/browser.mjs';
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

const sameOrigin = (page) => (stage, name) => browserPeer(stage, name, browser, page);
const crossOrigin = (page) => (stage, name) => browserPeer(stage, name, browser, page, pages.origin);

for (const [name, page] of [
  ['cometd 9.0.0', 'cometd.html'],
  ['cometd-jquery 3.0.0', 'cometd-jquery.html'],
]) {
  behaviours({
    name: `${name} in a browser over WebSocket`,
    open: sameOrigin(page),
    transport: 'websocket',
  });
  behaviours({
    name: `${name} in a browser over WebSocket, cross-origin`,
    open: crossOrigin(page),
    transport: 'websocket',
    settings: [`http.allowed_origins=["${pages.origin}"]`],
  });
}

const faye = { open: sameOrigin('faye.html'), resubscribes: true };
behaviours({
  name: 'faye 1.4.3 in a browser over WebSocket',
  transport: 'websocket',
  // Its handshake is made by a transport that every server has.
  transports: ['websocket', 'long-polling'],
  ...faye,
});
behaviours({
  name: 'faye 1.4.3 in a browser with EventSource',
  transport: 'eventsource',
  transports: ['eventsource', 'long-polling'],
  // Its stream is a request as well.
  watched: false,
  // It connects only this often, and does not look at what became of its stream.
  restartSettings: ['bayeux.timeout=2s'],
  ...faye,
});
