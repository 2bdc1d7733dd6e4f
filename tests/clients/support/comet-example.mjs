// How the snippets of docs/comet-example-com.md are run: with each proxy as its example and the guide set it up, and a
// page of www.example.com in Chromium.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { launch } from './browser.mjs';
import { read, snippets } from './documents.mjs';
import { apache, caddy, haproxy, nginx, Proxy } from './proxy.mjs';
import { Server } from './server.mjs';
import { onStageOf } from './stage.mjs';
import { staticResponse } from './static.mjs';
import { within } from './within.mjs';

const NAME = 'comet.example.com';
const PAGE = 'https://www.example.com/';
const MODULES = '/usr/lib/apache2/modules';
const HANDSHAKE = '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]';

/** Each proxy with TLS: where it listens is in the guide, and all else in its example. */
const KINDS = {
  nginx: { ...nginx, listening: (address, lines) => lines.replace('443', address) },
  haproxy: { ...haproxy, listening: (address, lines) => lines.replace(':443', address) },
  apache: {
    ...apache,
    main: (folder) => `LoadModule ssl_module ${MODULES}/mod_ssl.so
      LoadModule http2_module ${MODULES}/mod_http2.so
      ${apache.main(folder)}`,
    listening: (address, lines) => `Listen ${address}\n${lines.replace('*:443', address)}`,
  },
  caddy: {
    ...caddy,
    listening: (address, lines) => `https://${NAME}:${address.split(':')[1]} {\n\tbind 127.0.0.1\n\t${lines}`,
  },
};

/** How each is run that has this in its text. */
export const RUNS = {
  'allowed_origins = ["https://www.example.com"]\n# Believe': isConfiguration,
  '<title>News</title>': shown('nginx'),
  'listen 443 ssl http2;': shown('nginx'),
  'bind :443 ssl crt': shown('haproxy'),
  '<VirtualHost *:443>': shown('apache'),
  'tls /etc/ssl/comet.example.com.pem': shown('caddy'),
  'listen = ["tls:10.0.0.2:8443"]': isConfiguration,
  'proxy_pass https://mirant;': shown('nginx', { upstream: ['proxy_pass http://mirant;'] }),
  'ssl verify required ca-file': shown('haproxy', { upstream: ['server mirant 127.0.0.1:8080'] }),
  'reverse_proxy https://10.0.0.2:8443': shown('caddy', {
    upstream: ['reverse_proxy 127.0.0.1:8080 {', 'transport http {'],
  }),
};

/** The snippet of the guide with this in it. */
async function snippet(part) {
  const all = snippets(await read('docs/comet-example-com.md'));
  return all.find(({ text }) => text.includes(part)).text;
}

/** Makes a certificate for the name, which has signed itself; returns what the guide's files are here. */
async function certificate(shell) {
  const path = (name) => join(shell.folder, name);
  await shell.run(`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${NAME} \
    -addext subjectAltName=DNS:${NAME} -keyout name.key -out name.pem 2>/dev/null && cat name.pem name.key > both.pem`);
  return [
    ['/etc/ssl/private/comet.example.com.pem', path('both.pem')],
    ['/etc/ssl/private/comet.example.com.key', path('name.key')],
    ['/etc/ssl/comet.example.com.pem', path('name.pem')],
    ['/etc/ssl/ca.pem', path('name.pem')],
  ];
}

const replaced = (text, pairs) => pairs.reduce((all, [from, to]) => all.replaceAll(from, to), text);

/** Checks a configuration, with files that are there. */
async function isConfiguration(text, { shell }) {
  await writeFile(join(shell.folder, 'snippet.toml'), replaced(text, await certificate(shell)));
  assert.match(await shell.run('mirant check-config - < snippet.toml'), /^standard input: ok/);
}

/** The lines by which a proxy listens. */
const LISTENING = {
  nginx: 'listen 443 ssl http2;',
  haproxy: 'bind :443',
  apache: '<VirtualHost *:443>',
  caddy: 'tls /etc/ssl/comet',
};

/** Runs the page with a proxy, and if `upstream` says which lines the snippet stands for, with TLS up to the server. */
function shown(name, { upstream } = {}) {
  return async (text, { shell }) => {
    const files = await certificate(shell);
    const lines = replaced(await snippet(LISTENING[name]), files);
    const kind = KINDS[name];
    const proxy = { ...kind, listening: (address) => kind.listening(address, lines) };
    const configuration = await snippet(upstream ? 'listen = ["tls:' : '# Believe');
    const config = join(shell.folder, 'mirant.toml');
    const listen = /^listen = .*$/m;
    const own = configuration.replace(listen, '').replace('10.0.0.1', '127.0.0.1');
    await writeFile(config, replaced(own, files));
    const server = await Server.start([], ['--config', config], upstream ? 'tls:' : '');
    await onStageOf(server, async (stage) => {
      const host = new URL(stage.server.url).host;
      const changes = upstream ? changesTo(upstream, replaced(text, files), host) : [];
      const options = { changes, log: (line) => stage.log(line) };
      const running = stage.add(await Proxy.start(proxy, host, options));
      await showNews(stage, new URL(running.origin).port);
    });
  };
}

/** What makes an example reach the server by TLS: the first line of several stands for all, the rest goes. */
function changesTo([first, ...rest], text, host) {
  const lines = text.trimEnd().replaceAll('10.0.0.2:8443', host);
  // The example's own address has been replaced by then.
  const here = (line) => line.replace('127.0.0.1:8080', host);
  return [...rest.map((line) => [line, '']), [here(first), lines]];
}

/** Requires that the page of the guide shows what is published, and that requests beside it come by HTTP/2. */
async function showNews(stage, port) {
  // The page counts as a public one, which may not reach this machine.
  const flags = [`--host-resolver-rules=MAP ${NAME} 127.0.0.1:${port}`, '--disable-features=LocalNetworkAccessChecks'];
  const browser = stage.add(await launch(flags));
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.on('console', (message) => stage.log(message.text()));
  page.on('pageerror', (error) => stage.log(error.stack));
  const body = await snippet('<title>News</title>');
  // The library is many modules.
  await page.route(`${PAGE}**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const file = await staticResponse(`/static/cometd${pathname}`);
    await route.fulfill(pathname === '/' ? { contentType: 'text/html', body } : file);
  });
  const subscribed = new Promise((resolve) => {
    page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
      stage.log(payload);
      if (payload.includes('"/meta/subscribe"')) resolve();
    }));
  });
  await page.goto(PAGE);
  await within('the page to subscribe by WebSocket', subscribed);
  const network = await page.context().newCDPSession(page);
  const protocols = [];
  network.on('Network.responseReceived', ({ type, response }) => {
    if (type === 'Fetch') protocols.push(response.protocol);
  });
  await network.send('Network.enable');
  await page.evaluate(async ([url, body]) => {
    const headers = { 'Content-Type': 'application/json' };
    const [{ clientId }] = await (await fetch(url, { method: 'POST', headers, body })).json();
    const publish = JSON.stringify([{ channel: '/news', clientId, data: 'it works' }]);
    await fetch(url, { method: 'POST', headers, body: publish });
  }, [`https://${NAME}/cometd`, HANDSHAKE]);
  await within('the news', page.getByText('it works').waitFor());
  assert.deepEqual(protocols, ['h2', 'h2']);
}
