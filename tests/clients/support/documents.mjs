// The documents of this repository as texts: their snippets, links, headings and tables.
import { readFile, readdir } from 'node:fs/promises';

export const ROOT = new URL('../../../', import.meta.url);

/** A fenced block: its language, if it says one, and what stands in it. */
const FENCE = /^```(\w*)\n(.*?)^```$/gms;
const INLINE_CODE = /`([^`]+)`/g;
const LINK = /\]\(([^()\s]+)\)/g;
const HEADING = /^#{1,6} +(.+?) *$/gm;
const TABLE_ROW = /^\| *(.+?) *\|$/gm;

/** A file of the repository, by its path. */
export function read(path) {
  return readFile(new URL(path, ROOT), 'utf8');
}

/** The documents for users, whose snippets are run: README.md and docs/. */
export async function guides() {
  const names = await readdir(new URL('docs/', ROOT));
  const below = names.filter((name) => name.endsWith('.md')).sort();
  return ['README.md', ...below.map((name) => `docs/${name}`)];
}

/** The fenced blocks of a document, in their order. */
export function snippets(text) {
  return [...text.matchAll(FENCE)].map(({ 1: language, 2: body, index }) => ({
    language,
    text: body,
    line: text.slice(0, index).split('\n').length,
  }));
}

/** What stands in backticks within the text of a document. */
export function inlineCode(text) {
  return [...prose(text).matchAll(INLINE_CODE)].map(({ 1: code }) => code);
}

/** The targets of a document's links. */
export function links(text) {
  return [...prose(text).replace(INLINE_CODE, '').matchAll(LINK)].map(({ 1: target }) => target);
}

/** The names by which GitHub links to a document's headings. */
export function anchors(text) {
  const seen = new Map();
  return [...prose(text).matchAll(HEADING)].map(({ 1: heading }) => {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const name = words.replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '').replaceAll(' ', '-');
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return before ? `${name}-${before}` : name;
  });
}

/** The rows of a document's tables, as their cells. */
export function rows(text) {
  return [...prose(text).matchAll(TABLE_ROW)].map(({ 1: row }) => row.split(/ *(?<!\\)\| */));
}

function prose(text) {
  return text.replace(FENCE, '');
}
