// The documents are true where a program can tell: links, configuration keys, errors, metrics.
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { ROOT, anchors, guides, inlineCode, links, read, rows } from './support/documents.mjs';
import { freePort } from './support/proxy.mjs';
import { Server } from './support/server.mjs';

const FOR_DEVELOPERS = [
  'CONTRIBUTING.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'benches/README.md',
  'benches/compare/README.md',
];
const INDEX = 'docs/README.md';
/** The contents of the book. */
const CONTENTS = 'docs/SUMMARY.md';
const REFERENCE = 'docs/configuration.md';
const DEFAULTS = 'src/config/default.toml';
const UNSET = 'none';
/** A key with its section, which may be one of another. */
const KEY = /^[a-z]+(?:\.[a-z]+)?\.[a-z_]+$/;

const documents = [...(await guides()), ...FOR_DEVELOPERS];

describe('links', () => {
  for (const document of documents) {
    test(`of ${document} lead somewhere`, async () => {
      const broken = [];
      for (const target of links(await read(document))) {
        if (!/^[a-z]+:/.test(target) && !(await resolves(target, document))) broken.push(target);
      }
      assert.deepEqual(broken, []);
    });
  }

  for (const index of [INDEX, CONTENTS]) {
    test(`of ${index} name every guide`, async () => {
      const named = links(await read(index)).map((target) => pathOf(target, index));
      const isGuide = (document) => document.startsWith('docs/') && ![INDEX, CONTENTS].includes(document);
      assert.deepEqual(documents.filter((document) => isGuide(document) && !named.includes(document)), []);
    });
  }
});

describe('configuration keys', async () => {
  const defaults = await keysWithDefaults();

  test(`stand in ${REFERENCE}, each once and with its default`, async () => {
    const cells = rows(await read(REFERENCE)).map(([key, value]) => [unquoted(key), unquoted(value)]);
    const listed = cells.filter(([key]) => KEY.test(key));
    assert.deepEqual(listed.toSorted(), Object.entries(defaults).toSorted());
  });

  for (const document of documents) {
    test(`that ${document} names exist`, async () => {
      const sections = new Set(Object.keys(defaults).map((key) => key.split('.')[0]));
      const isKey = (code) => KEY.test(code) && sections.has(code.split('.')[0]);
      const named = inlineCode(await read(document)).map((code) => code.replace(/ = .*/, '')).filter(isKey);
      // File names of the same form.
      const others = named.filter((key) => !(key in defaults) && !/\.(rs|mjs|md|conf|toml)$/.test(key));
      assert.deepEqual(others, []);
    });
  }
});

test('errors in replies stand in docs/compatibility.md, and none besides', async () => {
  const source = (await read('src/bayeux/error.rs')).split('#[cfg(test)]')[0];
  const made = [...source.matchAll(/"(\d{3}:[^"]*:\w+)"/g)].map(([, text]) => text);
  const cells = rows(await read('docs/compatibility.md')).map(([first]) => unquoted(first));
  const listed = cells.filter((text) => /^\d{3}:/.test(text));
  assert.ok(made.length > 0);
  assert.deepEqual(listed.toSorted(), [...new Set(made)].toSorted());
});

test('metrics stand in docs/operating.md, and none besides', async () => {
  const admin = `127.0.0.1:${await freePort()}`;
  const server = await Server.start([`admin.listen=["${admin}"]`]);
  let metrics;
  try {
    metrics = await (await fetch(`http://${admin}/metrics`)).text();
  } finally {
    await server.stop();
  }
  const served = [...metrics.matchAll(/^# HELP (\w+) /gm)].map(([, name]) => name);
  const cells = rows(await read('docs/operating.md')).map(([first]) => unquoted(first).replace(/\{.*/, ''));
  const listed = cells.filter((name) => name.startsWith('mirant_'));
  assert.ok(served.length > 0);
  assert.deepEqual(listed.toSorted(), served.toSorted());

  const dashboard = JSON.parse(await read('examples/grafana.json'));
  const asked = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const names = asked.flatMap((expression) => expression.match(/mirant_\w+/g));
  const kinds = [...metrics.matchAll(/^# TYPE (\w+) (\w+)$/gm)];
  const series = kinds.flatMap(([, name, kind]) => (kind === 'histogram' ? [`${name}_bucket`] : [name]));
  assert.ok(names.length > 20);
  assert.deepEqual(names.filter((name) => !series.includes(name)), []);
});

/** Whether a relative link names a file or a folder, and a heading in it if it says one. */
async function resolves(target, document) {
  const [, anchor] = target.split('#');
  const path = pathOf(target, document);
  if (path === undefined) return false;
  const exists = await stat(new URL(path, ROOT)).then(() => true, () => false);
  return exists && (anchor === undefined || anchors(await read(path)).includes(anchor));
}

/** The path of a link's target in the repository; none if it leads out of it. */
function pathOf(target, document) {
  const [path] = target.split('#');
  const url = new URL(path || document.split('/').at(-1), new URL(document, ROOT));
  return url.href.startsWith(ROOT.href) ? url.href.slice(ROOT.href.length) : undefined;
}

/** Every key of the default configuration with its default, as a file has it. */
async function keysWithDefaults() {
  const keys = {};
  let section;
  const lines = (await read(DEFAULTS)).split('\n');
  while (lines.length > 0) {
    let line = lines.shift();
    section = /^(?:# \[)?\[([a-z.]+)\]/.exec(line)?.[1] ?? section;
    const [, comment, key] = /^(# )?([a-z_]+) = /.exec(line) ?? [];
    if (!key) continue;
    while (!comment && /= \[[^\]]*$/.test(line)) line += lines.shift();
    keys[`${section}.${key}`] = comment ? UNSET : asInOneLine(line.replace(/^.*? = /, ''));
  }
  return keys;
}

function asInOneLine(value) {
  return value.replace(/\[\s+/, '[').replace(/,?\s*\]$/, ']').replace(/,\s+/g, ', ');
}

function unquoted(cell = '') {
  return cell.replace(/^`(.*)`$/, '$1');
}
