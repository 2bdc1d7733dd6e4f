import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ResponseError, ResponseSplitter } from '../../src/plugins/message-http.js';
import { arraysOf, cut, spaced } from './support/arrays.mjs';
import { Random } from './support/random.mjs';

const SEEDS = 300;
const HEARTBEAT = 'HTTP/1.1 102 Processing\r\n\r\n';

const bytesOf = (text) => new TextEncoder().encode(text);

function response(body, { status = '200 OK', length = bytesOf(body).length } = {}) {
  const head = [
    `HTTP/1.1 ${status}`,
    'Content-Location: /cometd/connect',
    'Content-Type: application/json',
    `Content-Length: ${length}`,
    'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

function write(arrays, random) {
  const beats = () => HEARTBEAT.repeat(random.pick([0, 0, 1, 2]));
  const all = arrays.map((array) => beats() + response(spaced(array, random)));
  return bytesOf(all.join('') + beats());
}

const takeAll = (splitter, pieces) => pieces.flatMap((piece) => [...splitter.push(piece)]);

/** Runs `play` and returns how many bytes and characters built-ins decoded, joined and parsed. */
function counting(play) {
  let work = 0;
  const kept = [
    [TextDecoder.prototype, 'decode', (_result, [bytes]) => bytes?.length ?? 0],
    [Uint8Array.prototype, 'slice', (result) => result.length],
    [Array.prototype, 'join', (result) => result.length],
    [JSON, 'parse', (_result, [json]) => json.length],
  ].map(([owner, name, cost]) => {
    const own = Object.getOwnPropertyDescriptor(owner, name);
    const original = owner[name];
    owner[name] = function (...args) {
      const result = original.apply(this, args);
      work += cost(result, args);
      return result;
    };
    return () => (own ? Object.defineProperty(owner, name, own) : delete owner[name]);
  });
  try {
    play();
  } finally {
    for (const restore of kept) restore();
  }
  return work;
}

describe('JSON arrays in HTTP responses in a row', () => {
  test('come out whole, however the bytes are cut', () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const random = new Random(seed);
      const arrays = arraysOf(random);
      const pieces = cut(write(arrays, random), random);
      assert.deepEqual(takeAll(new ResponseSplitter(), pieces), arrays, `seed ${seed}`);
    }
  });

  test('come out whole from every cut in two, and byte by byte', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = new Random(seed);
      const arrays = arraysOf(random);
      const whole = write(arrays, random);
      for (let at = 0; at <= whole.length; at += 1) {
        const pieces = [whole.subarray(0, at), whole.subarray(at)];
        assert.deepEqual(takeAll(new ResponseSplitter(), pieces), arrays, `seed ${seed} at ${at}`);
      }
      const single = [...whole].map((byte) => Uint8Array.of(byte));
      assert.deepEqual(takeAll(new ResponseSplitter(), single), arrays, `seed ${seed}`);
    }
  });

  test('come out with the byte that makes them whole', () => {
    const arrays = [[], ['é😀'], [{ a: '\r\n\r\nHTTP/1.1 200 OK' }]];
    const splitter = new ResponseSplitter();
    for (const array of arrays) {
      const whole = bytesOf(response(JSON.stringify(array)));
      assert.deepEqual([...splitter.push(whole.subarray(0, -1))], []);
      assert.deepEqual([...splitter.push(whole.subarray(-1))], [array]);
    }
  });

  test('have lengths that count bytes', () => {
    const whole = bytesOf(response('["é😀"]', { length: 10 }) + response('[1]'));
    assert.deepEqual(takeAll(new ResponseSplitter(), [whole]), [['é😀'], [1]]);
  });

  test('of megabytes take work in proportion to them, in pieces of any size', () => {
    for (const megabytes of [1, 2, 4]) {
      const array = [{ data: `[\\"${'x'.repeat(megabytes * 500_000)}`, list: '✓'.repeat(100_000) }];
      const whole = bytesOf(response(JSON.stringify(array)) + response('["last"]'));
      for (const size of [3, 100, 10_000]) {
        const pieces = [];
        for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
        let taken;
        const work = counting(() => (taken = takeAll(new ResponseSplitter(), pieces)));
        assert.equal(taken.length, 2);
        assert.equal(taken[0][0].data, array[0].data);
        assert.ok(work < 4 * whole.length, `${work} for ${whole.length} by ${size}`);
      }
    }
  });

  test('are not lost if what follows them is another response', () => {
    for (const [status, body, reason] of [
      ['408 Request Timeout', '{"error":"a newer connect took its place"}', /^a newer connect/],
      ['500 Internal Server Error', 'oh', /^Internal Server Error$/],
      ['503 Busy', '', /^Busy$/],
      ['404', '', /^$/],
    ]) {
      const taken = [];
      const whole = bytesOf(response('[1]') + response(body, { status }) + response('[2]'));
      assert.throws(
        () => {
          for (const array of new ResponseSplitter().push(whole)) taken.push(array);
        },
        (error) => {
          assert.ok(error instanceof ResponseError);
          assert.equal(error.status, Number(status.slice(0, 3)));
          assert.match(error.message, reason);
          return true;
        },
      );
      assert.deepEqual(taken, [[1]]);
    }
  });

  test('are refused with anything else among them', () => {
    for (const wrong of [
      '[1]\r\n\r\n',
      '\r\n\r\n',
      'HTTP/2 200\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[]',
      'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n[]',
      response('nonsense'),
      response('[]', { length: 1 }),
      'x'.repeat(20_000),
    ]) {
      const push = () => [...new ResponseSplitter().push(bytesOf(wrong))];
      assert.throws(push, SyntaxError, wrong.slice(0, 40));
    }
  });
});
