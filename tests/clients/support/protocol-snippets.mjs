// How the exchanges of docs/protocol.md are run: each message is sent, and answered as it is printed.
import assert from 'node:assert/strict';

import { post } from './requests.mjs';
import { onStage } from './stage.mjs';

/** What stands for the client id. */
const CLIENT = 'CLIENT';

export const RUNS = Object.fromEntries(
  ['"successful":true,"clientId":"CLIENT"', ...['2', '4', '7', '8'].map((id) => `"id":"${id}","clientId":"CLIENT"`)].map(
    (sign) => [sign, exchange],
  ),
);

/** Sends the objects, and expects the array behind each; with a server that has its defaults. */
function exchange(text) {
  const values = text.trimEnd().split(/\n(?=[[{])/).map((value) => JSON.parse(value));
  return onStage([], async ({ server: { url } }) => {
    const send = async (message) => JSON.parse((await post(url, [message])).text);
    const [{ clientId: own }] = await send({ channel: '/meta/handshake', version: '1.0' });
    for (const [at, message] of values.entries()) {
      if (Array.isArray(message)) continue;
      const sent = message.clientId === CLIENT ? { ...message, clientId: own } : message;
      const answer = await send(sent);
      const isPrinted = answer.map((one) => (one.clientId ? { ...one, clientId: CLIENT } : one));
      assert.deepEqual(isPrinted, values[at + 1]);
    }
  });
}
