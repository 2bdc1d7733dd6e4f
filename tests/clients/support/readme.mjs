import { readFile } from 'node:fs/promises';

const README = new URL('../../../README.md', import.meta.url);

/** A fenced block with a language: what stands in it, and where. */
const FENCE = /^```(\w+)\n(.*?)^```$/gms;

/** The snippets of README.md, in their order. */
export async function snippets() {
  const text = await readFile(README, 'utf8');
  return [...text.matchAll(FENCE)].map(({ 1: language, 2: body, index }) => ({
    language,
    text: body,
    line: text.slice(0, index).split('\n').length,
  }));
}
