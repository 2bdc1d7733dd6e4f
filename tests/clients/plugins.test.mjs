// The plug-ins' transports without the rest of the client, so that a server can do what this one
// never does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';

import { LongPollingTransport } from 'cometd-9';

import { messageHttp } from '../../src/plugins/message-http.js';
import { multipart } from '../../src/plugins/multipart.js';
import { xhrStreaming } from '../../src/plugins/xhr-streaming.js';
import { within } from './support/within.mjs';

// The client's transports look at this when they abort a request.
globalThis.window = { XMLHttpRequest: { UNSENT: 0 } };

const REPLY = { id: '7', channel: '/meta/connect', successful: true };
/** Neither an array nor a part with one. */
const NONSENSE = '\r\n\r\n<html>\r\n--a b';
const event = (data) => ({ channel: '/news', data });

function embedded(status, body) {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

const KINDS = {
  'xhr-streaming': {
    plug: xhrStreaming,
    type: 'application/json; charset=utf-8',
    write: (messages) => `${JSON.stringify(messages)}\n`,
  },
  multipart: {
    plug: multipart,
    type: 'multipart/x-mixed-replace; boundary="a b"',
    first: '--a b\r\n',
    write: (messages) => `X: y\r\n\r\n${JSON.stringify(messages)}\r\n--a b\r\n`,
  },
  'message-http': {
    plug: messageHttp,
    type: 'message/http',
    first: 'HTTP/1.1 102 Processing\r\n\r\n',
    write: (messages) => embedded('200 OK', JSON.stringify(messages)),
  },
};

/** A connect to a server that answers it as `serve` says; what the client hears of it. */
async function connect({ plug }, serve, { patience = 10_000, headers = {} } = {}) {
  const server = createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = plug(new LongPollingTransport());
  transport.registered('its type', {
    _debug() {},
    _getTransportListeners: () => [],
    getConfiguration: () => ({
      maxNetworkDelay: patience,
      maxSendBayeuxMessageSize: 8_192,
      requestHeaders: headers,
    }),
    getAdvice: () => ({ timeout: 0 }),
    setTimeout,
    clearTimeout,
  });
  const heard = [];
  let wake = () => {};
  const hear = (what) => {
    heard.push(what);
    wake();
  };
  const envelope = {
    url: `http://127.0.0.1:${server.address().port}/cometd/connect`,
    sync: false,
    messages: [{ id: '7', channel: '/meta/connect', clientId: 'x', connectionType: 'its type' }],
    onSuccess: (messages) => hear(messages),
    onFailure: (_xhr, messages, failure) => hear({ failed: messages, ...failure }),
  };
  transport.send(envelope, true);
  return {
    heard,
    transport,
    envelope,
    async hears(count) {
      while (heard.length < count) {
        await within(`${count} calls`, new Promise((resolve) => (wake = resolve)));
      }
    },
    async end() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

for (const [name, kind] of Object.entries(KINDS)) {
  const { type, first = '', write } = kind;
  const begin = (response) => {
    response.writeHead(200, { 'Content-Type': type }).write(first);
    return response;
  };

  const breakOff = (response) => {
    begin(response).write(write([event(1)]), () => response.destroy());
  };

  describe(name, () => {
    test('sends what the client would, and hears events before the reply', async () => {
      let request;
      let go;
      const client = await connect(
        kind,
        async (incoming, response) => {
          request = { headers: incoming.headers, text: (await incoming.toArray()).join('') };
          begin(response).write(write([event(1)]) + write([event(2), event(3)]));
          await new Promise((resolve) => (go = resolve));
          response.end(write([event(4), REPLY]));
        },
        { headers: { 'X-Token': 'secret' } },
      );
      await client.hears(2);
      assert.deepEqual(client.heard, [[event(1)], [event(2), event(3)]]);
      go();
      await client.hears(3);
      assert.deepEqual(client.heard[2], [event(4), REPLY]);
      assert.deepEqual(JSON.parse(request.text), client.envelope.messages);
      assert.equal(request.headers['content-type'], 'application/json');
      assert.equal(request.headers['x-token'], 'secret');
      // The client may send its next.
      client.transport.send(client.envelope, true);
      client.transport.abort();
      await client.end();
    });

    for (const [what, answer, heard] of [
      ['has another status', (response) => response.writeHead(503).end(write([REPLY])), []],
      ['ends without a reply', (response) => begin(response).end(write([event(1)])), [[event(1)]]],
      ['breaks', breakOff, [[event(1)]]],
      ['is nonsense', (response) => begin(response).end(write([event(1)]) + NONSENSE), [[event(1)]]],
      ['is empty', (response) => begin(response).end(), []],
    ]) {
      test(`fails if the response ${what}`, async () => {
        const client = await connect(kind, (_request, response) => answer(response));
        await client.hears(heard.length + 1);
        assert.deepEqual(client.heard.slice(0, -1), heard);
        const failure = client.heard.at(-1);
        assert.deepEqual(failure.failed, client.envelope.messages);
        assert.equal(failure.httpCode, what === 'has another status' ? 503 : 200);
        await client.end();
        assert.equal(client.heard.length, heard.length + 1);
      });
    }

    for (const [what, settings, giveUp] of [
      ['that is aborted', {}, ({ transport }) => transport.abort()],
      ['that takes too long', { patience: 200 }, () => {}],
    ]) {
      test(`ends the request of a connect ${what}, and hears no more of it`, async () => {
        let closed;
        const client = await connect(
          kind,
          (_request, response) => {
            closed = once(response, 'close');
            begin(response).write(write([event(1)]));
          },
          settings,
        );
        await client.hears(1);
        giveUp(client);
        await client.hears(2);
        assert.deepEqual(client.heard[1].failed, client.envelope.messages);
        await within('the request to end', closed);
        await client.end();
        assert.equal(client.heard.length, 2);
      });
    }

    test('is only for browsers that show a response while it grows', () => {
      const transport = kind.plug(new LongPollingTransport());
      assert.equal(transport.accept('1.0', true, 'http://other/'), true);
      const { ReadableStream } = globalThis;
      try {
        delete globalThis.ReadableStream;
        assert.equal(transport.accept('1.0', true, 'http://other/'), false);
      } finally {
        Object.defineProperty(globalThis, 'ReadableStream', {
          value: ReadableStream,
          configurable: true,
          writable: true,
        });
      }
    });
  });
}

describe('message-http', () => {
  const kind = KINDS['message-http'];

  test('says that it takes responses in a response', async () => {
    let accept;
    const client = await connect(kind, (request, response) => {
      accept = request.headers.accept;
      response.writeHead(200, { 'Content-Type': 'Message/HTTP ; x=y' }).end(kind.write([REPLY]));
    });
    await client.hears(1);
    assert.equal(accept, 'message/http');
    assert.deepEqual(client.heard, [[REPLY]]);
    await client.end();
  });

  test('takes a response that is none of responses too', async () => {
    const client = await connect(kind, (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify([REPLY]));
    });
    await client.hears(1);
    assert.deepEqual(client.heard, [[REPLY]]);
    await client.end();
  });

  test('fails with the reason of a response in the response', async () => {
    const client = await connect(kind, (_request, response) => {
      const failure = embedded('408 Request Timeout', '{"error":"displaced"}');
      response.writeHead(200, { 'Content-Type': kind.type });
      response.end(kind.write([event(1)]) + failure);
    });
    await client.hears(2);
    assert.deepEqual(client.heard[0], [event(1)]);
    assert.equal(client.heard[1].reason, 'displaced');
    assert.equal(client.heard[1].httpCode, 408);
    await client.end();
  });
});
