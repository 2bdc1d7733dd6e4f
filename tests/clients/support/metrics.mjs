import { setTimeout as delay } from 'node:timers/promises';

import { BOUND } from './within.mjs';

/** The value of one of the server's metrics. */
export async function metric(admin, name) {
  const response = await fetch(`${admin}/metrics`, { signal: AbortSignal.timeout(BOUND) });
  const line = new RegExp(`^${name} (.*)$`, 'm').exec(await response.text());
  return Number(line[1]);
}

/** Asks for a metric until it has a value: nobody tells what goes on inside the server. */
export async function metricIs(admin, name, value) {
  const giveUp = performance.now() + BOUND;
  let last;
  while ((last = await metric(admin, name)) !== value) {
    if (performance.now() > giveUp) throw new Error(`${name} is ${last} and not ${value}`);
    await delay(20);
  }
}
