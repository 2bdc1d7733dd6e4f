#!/usr/bin/env node
// An application server that is connected to Mirant: it answers calls of clients, publishes, and hears of
// sessions.
//
//     npm install cometd cometd-nodejs-client
//     MIRANT_URL=http://127.0.0.1:8080/cometd MIRANT_TOKEN=... node backend.mjs
//
// The token is a key that allows "calls", or a JWT with the role that backends.role names. To hear of sessions,
// set backends.events_channel = "/service/events" in Mirant's configuration.
import { adapt } from 'cometd-nodejs-client';

adapt(); // before cometd is loaded
const { CometD } = await import('cometd');
const cometd = new CometD();

/** The services by their channels; what they return is the caller's answer, and what they throw is its error. */
const SERVICES = {
  '/service/rpc/add'(numbers) {
    if (!numbers.every(Number.isFinite)) throw new Error('only numbers can be added');
    return numbers.reduce((sum, number) => sum + number, 0);
  },

  '/service/rpc/whoami': (_, { session, user }) => ({ session, user }),

  // An answer may take its time; other calls go on meanwhile.
  '/service/rpc/sleep': (ms) => new Promise((resolve) => setTimeout(resolve, ms, ms)),

  // Subscribers receive the name in ext.sender; no other client can claim one.
  '/service/rpc/announce'(text, { user }) {
    cometd.publish('/news', { text, user }, { ext: { sender: 'backend' } });
    return 'announced';
  },
};

/** Answers a call: publishes on its channel, with the call's id in ext. */
async function answer({ channel, data, ext: { call } }) {
  const reply = (result, told) => {
    if (cometd.isDisconnected()) return; // the call is another's by now
    cometd.publish(channel, result, { ext: { call: { id: call.id, ...told } } });
  };
  try {
    const service = SERVICES[channel];
    if (!service) throw new Error(`there is no ${channel}`);
    reply(await service(data, call));
  } catch ({ message }) {
    reply({ error: message }, { successful: false });
  }
}

/** Hears of sessions and channels. What clients publish on the same channel are calls, as everywhere. */
function hear(message) {
  if (message.ext?.call) return answer(message);
  const { events, dropped } = message.data;
  if (dropped) console.log(`${dropped} events were dropped`);
  for (const { event, user, session, channel } of events) {
    console.log([event, user ?? session, channel].filter(Boolean).join(' '));
  }
}

cometd.addListener('/meta/handshake', ({ successful, failure, error }) => {
  // Of a new session nobody knows the subscriptions.
  if (successful) {
    cometd.subscribe('/service/events', hear);
    cometd.subscribe('/service/rpc/*', answer, (reply) => console.log(reply.error ?? 'takes calls'));
  } else if (!failure) {
    console.error(`refused: ${error}`); // a failure of the network is no refusal, and tried again
    process.exitCode = 1;
  }
});

// Calls that have no answer yet go to another application server at once.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => cometd.disconnect(() => process.exit()));

cometd.configure({ url: process.env.MIRANT_URL ?? 'http://127.0.0.1:8080/cometd', logLevel: 'warn' });
cometd.handshake({ ext: { authentication: { token: process.env.MIRANT_TOKEN } } });
