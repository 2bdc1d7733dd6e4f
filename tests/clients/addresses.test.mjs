/** Rules by address tell clients apart behind real proxies, and believe no client. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { describe, test } from 'node:test';

import { apache, haproxy, nginx, Proxy } from './support/proxy.mjs';
import { onStage } from './support/stage.mjs';
import { within } from './support/within.mjs';

const TRUSTED = 'http.trusted_proxies=["127.0.0.1"]';
const PROXY_PROTOCOL = [TRUSTED, 'http.proxy_protocol=true'];
/** Whom the rules refuse, and another; the proxy itself is at 127.0.0.1. */
const REFUSED = '127.0.0.2';
const OTHER = '127.0.0.3';
const RULES = `access=[
  { deny = ["subscribe", "publish"], channels = ["/**"], who = { address = "${REFUSED}" } },
  { allow = ["handshake", "subscribe", "publish"], channels = ["/**"], who = "anyone" },
]`.replaceAll('\n', ' ');

/** How the last line of HAProxy's example ends for the PROXY protocol. */
const sends = (how) => (upstream) => [[`server mirant ${upstream}\n`, `server mirant ${upstream} ${how}\n`]];
const none = () => [];

const proxies = {
  nginx: { kind: nginx, settings: [TRUSTED] },
  haproxy: { kind: haproxy, settings: [TRUSTED] },
  'haproxy with send-proxy': {
    kind: haproxy,
    settings: PROXY_PROTOCOL,
    changes: sends('send-proxy'),
  },
  'haproxy with send-proxy-v2': {
    kind: haproxy,
    settings: PROXY_PROTOCOL,
    changes: sends('send-proxy-v2'),
  },
  apache: { kind: apache, settings: [TRUSTED] },
};

/** What a client at an address of this machine is answered: the status, and the text. */
async function ask(url, localAddress, { body, headers = {} } = {}) {
  const method = body ? 'POST' : 'GET';
  const sent = request(url, { localAddress, agent: false, method, headers });
  sent.end(body && JSON.stringify(body));
  const [response] = await within(`the response to ${localAddress}`, once(sent, 'response'));
  const { statusCode: status } = response;
  if (!body && status === 200) {
    // A stream goes on for ever.
    sent.destroy();
    return { status };
  }
  const text = (await within('the body', response.setEncoding('utf8').toArray())).join('');
  return { status, text, cookie: response.headers['set-cookie'] };
}

/** What becomes of a client's publish: the reply's error. */
async function publish(url, from, headers) {
  const json = { 'Content-Type': 'application/json', ...headers };
  const types = ['long-polling'];
  const handshake = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: types };
  const { text, cookie } = await ask(url, from, { body: [handshake], headers: json });
  const [{ clientId }] = JSON.parse(text);
  const Cookie = cookie.map((it) => it.split(';')[0]).join('; ');
  const message = { channel: '/news', clientId, data: 1 };
  const answer = await ask(url, from, { body: [message], headers: { ...json, Cookie } });
  return JSON.parse(answer.text)[0].error;
}

for (const [name, { kind, settings, changes = none }] of Object.entries(proxies)) {
  describe(`through ${name}`, () => {
    const through = (play) => () =>
      onStage([...settings, RULES], async (stage) => {
        const upstream = new URL(stage.server.url).host;
        const log = (line) => stage.log(line);
        const proxy = await Proxy.start(kind, upstream, { changes: changes(upstream), log });
        stage.add(proxy);
        await play(proxy.origin, stage);
      });

    test('rules by address tell two clients apart', through(async (origin, stage) => {
      const url = `${origin}/cometd`;
      for (let round = 0; round < 2; round += 1) {
        assert.equal(await publish(url, REFUSED), '403:/news:publish_denied');
        assert.equal(await publish(url, OTHER), undefined);
      }
      const stream = `${origin}/events?channel=/news`;
      assert.equal((await ask(stream, REFUSED)).status, 403);
      assert.equal((await ask(stream, OTHER)).status, 200);
      assert.match(stage.server.log, new RegExp(`remote=${REFUSED.replaceAll('.', '\\.')}\\b.*status=403`));
    }));

    test('what a client says of its address means nothing', through(async (origin) => {
      const url = `${origin}/cometd`;
      const forged = (address) => ({
        'X-Forwarded-For': `${address}, 127.0.0.1`,
        Forwarded: `for=${address}`,
      });
      assert.equal(await publish(url, REFUSED, forged(OTHER)), '403:/news:publish_denied');
      assert.equal(await publish(url, OTHER, forged(REFUSED)), undefined);
    }));
  });
}
