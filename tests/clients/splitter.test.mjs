import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { boundaryOf, PartSplitter } from '../../src/plugins/multipart.js';
import { Splitter } from '../../src/plugins/splitter.js';
import { arraysOf, cut, space, spaced } from './support/arrays.mjs';
import { Random } from './support/random.mjs';

const SEEDS = 300;
const BOUNDARY = 'b-1';
const HEAD = 'Content-Type: application/json; charset=utf-8\r\n\r\n';

/** The two that take arrays out of a text, and how the server writes such a text. */
const SPLITTERS = {
  'JSON arrays in a row': {
    make: () => new Splitter(),
    write: (arrays, random) =>
      arrays.map((array) => space(random) + spaced(array, random)).join('') + space(random),
  },
  'JSON arrays as parts of a multipart text': {
    make: () => new PartSplitter(BOUNDARY),
    write: (arrays, random) => {
      const parts = arrays.map((array) => `${HEAD}${spaced(array, random)}\r\n--${BOUNDARY}`);
      return [`--${BOUNDARY}`, ...parts].join('\r\n') + '--\r\n';
    },
  },
};

const takeAll = (splitter, pieces) => pieces.flatMap((piece) => [...splitter.push(piece)]);

/** A piece of text that counts how many of its characters are looked at or copied. */
class Counted {
  constructor(piece, count) {
    this.piece = piece;
    this.count = count;
  }

  get length() {
    return this.piece.length;
  }

  charCodeAt(at) {
    this.count(1);
    return this.piece.charCodeAt(at);
  }

  slice(start, end) {
    const part = this.piece.slice(start, end);
    this.count(part.length);
    return part;
  }

  toString() {
    this.count(this.piece.length);
    return this.piece;
  }
}

/** Runs `play` and returns how many characters were searched, copied and parsed by built-ins. */
function counting(play) {
  let work = 0;
  const count = (characters) => (work += characters);
  const kept = [
    [String.prototype, 'indexOf', (self, _result, [, from]) => self.length - (from ?? 0)],
    [String.prototype, 'slice', (_self, result) => result.length],
    [Array.prototype, 'join', (_self, result) => result.length],
    [JSON, 'parse', (_self, _result, [json]) => json.length],
  ].map(([owner, name, cost]) => {
    const original = owner[name];
    owner[name] = function (...args) {
      const result = original.apply(this, args);
      count(cost(this, result, args));
      return result;
    };
    return () => (owner[name] = original);
  });
  try {
    play(count);
  } finally {
    for (const restore of kept) restore();
  }
  return work;
}

for (const [name, { make, write }] of Object.entries(SPLITTERS)) {
  describe(name, () => {
    test('come out whole, however the text is cut', () => {
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const random = new Random(seed);
        const arrays = arraysOf(random);
        const pieces = cut(write(arrays, random), random);
        const explain = () => `seed ${seed}: ${JSON.stringify(pieces)}`;
        try {
          assert.deepEqual(takeAll(make(), pieces), arrays);
        } catch (error) {
          throw new Error(explain(), { cause: error });
        }
      }
    });

    test('come out whole from every cut in two, and one by one', () => {
      for (let seed = 1; seed <= 20; seed += 1) {
        const random = new Random(seed);
        const arrays = arraysOf(random);
        const whole = write(arrays, random);
        for (let at = 0; at <= whole.length; at += 1) {
          const pieces = [whole.slice(0, at), whole.slice(at)];
          assert.deepEqual(takeAll(make(), pieces), arrays, `seed ${seed} at ${at}`);
        }
        assert.deepEqual(takeAll(make(), whole.split('')), arrays, `seed ${seed}`);
      }
    });

    test('come out with the piece that makes them whole', () => {
      const random = new Random(1);
      const arrays = [[], ['x'], [{ a: '[' }], [[[]]]];
      const whole = write(arrays, random);
      const splitter = make();
      const taken = [];
      for (const character of whole) {
        const before = taken.length;
        taken.push(...splitter.push(character));
        assert.ok(taken.length - before <= 1);
      }
      assert.deepEqual(taken, arrays);
    });

    test('are not lost if what follows them is none', () => {
      const random = new Random(1);
      const splitter = make();
      const taken = [];
      const broken = write([['first'], ['second']], random).replace('"second"', 'nonsense');
      assert.throws(() => {
        for (const array of splitter.push(broken)) taken.push(array);
      }, SyntaxError);
      assert.deepEqual(taken, [['first']]);
    });

    test('of a megabyte take work in proportion to it, in pieces of any size', () => {
      const random = new Random(1);
      const perCharacter = [1, 2, 4].flatMap((megabytes) => {
        const array = [{ data: `[\\"${'x'.repeat(megabytes * 500_000)}`, list: '✓"'.repeat(100_000) }];
        const whole = write([array, ['last']], random);
        return [3, 100, 10_000].map((size) => {
          const pieces = [];
          for (let at = 0; at < whole.length; at += size) pieces.push(whole.slice(at, at + size));
          let taken;
          const work = counting((count) => {
            const splitter = make();
            const isPlain = splitter instanceof Splitter;
            taken = takeAll(
              splitter,
              isPlain ? pieces.map((piece) => new Counted(piece, count)) : pieces,
            );
          });
          assert.equal(taken.length, 2);
          assert.equal(taken[0][0].data, array[0].data);
          return work / whole.length;
        });
      });
      // In small pieces the delimiter of parts is looked for in a text that is mostly the last one.
      for (const work of perCharacter) assert.ok(work < 12, perCharacter);
    });
  });
}

describe('JSON arrays in a row', () => {
  test('are refused with anything else among them', () => {
    for (const wrong of ['{}', '[]{}', '[],[]', ']', '<html>', 'null', '[}]', '[1 2]']) {
      assert.throws(() => [...new Splitter().push(wrong)], SyntaxError, wrong);
    }
  });

  test('are known to be whole, or not', () => {
    const splitter = new Splitter();
    for (const [piece, isBetween] of [
      ['\n', true],
      ['[', false],
      ['"]', false],
      ['"', false],
      ['] ', true],
    ]) {
      assert.equal([...splitter.push(piece)].length, piece === '] ' ? 1 : 0);
      assert.equal(splitter.isBetween, isBetween);
    }
  });
});

test('the boundary is read from the content type', () => {
  for (const [contentType, boundary] of [
    ['multipart/x-mixed-replace; boundary=abc', 'abc'],
    ['Multipart/X-Mixed-Replace;Boundary="a b;c"', 'a b;c'],
    ['multipart/x-mixed-replace; charset=utf-8; boundary=x', 'x'],
    ['application/json; boundary=x', null],
    ['multipart/x-mixed-replace', null],
    ['', null],
  ]) {
    assert.equal(boundaryOf(contentType), boundary, contentType);
  }
});
