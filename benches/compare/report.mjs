// Writes results and what is made of them: tables, a chart, and a section of the main README.
// Usage: node report.mjs results.json, which makes anew what stands beside that file
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { drawing } from './chart.mjs';
import { overview, withSection } from './section.mjs';
import { tables } from './table.mjs';

const HERE = import.meta.dirname;
const README = path.join(HERE, '../../README.md');

/** Writes all into a directory; into the README too if that is this one, which has the last full run. */
export function writeReports(directory, results) {
  const write = (name, text) => writeFileSync(path.join(directory, name), text);
  write('results.json', `${JSON.stringify(results, null, 1)}\n`);
  write('results.md', `${overview(results)}${tables(results)}`);
  write('results.svg', drawing(results));
  if (path.resolve(directory) === HERE) {
    writeFileSync(README, withSection(readFileSync(README, 'utf8'), results));
  }
}

if (process.argv[1] === import.meta.filename) {
  const file = process.argv[2];
  writeReports(path.dirname(file), JSON.parse(readFileSync(file, 'utf8')));
}
