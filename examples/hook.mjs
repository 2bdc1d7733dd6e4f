// An application that Mirant calls, in Node and without packages; examples/hook.py says how both are configured.
//
//     HOOK_SECRET=... node examples/hook.mjs 9000
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

// Several secrets, parted by spaces, while one takes the place of another.
const SECRETS = process.env.HOOK_SECRET.split(' ');
let orders = 0;

/** Tells whether Mirant sent this request, and just now. */
function isSigned(secret, headers, body) {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret;
  const sentAt = headers['webhook-timestamp'];
  if (!(Math.abs(Date.now() / 1000 - sentAt) < 300)) return false;
  const mac = createHmac('sha256', key).update(`${headers['webhook-id']}.${sentAt}.`).update(body);
  const expected = Buffer.from(`v1,${mac.digest('base64')}`);
  const signatures = (headers['webhook-signature'] ?? '').split(' ').map((text) => Buffer.from(text));
  return signatures.some((given) => given.length === expected.length && timingSafeEqual(given, expected));
}

/** Answers a call, and may have messages published. */
function answer({ channel, data }) {
  if (channel !== '/service/orders/new') return { error: 'there is no such call' };
  if (data?.item === undefined) return { error: 'which item?' };
  const order = { number: ++orders, item: data.item };
  return { reply: order, publish: [{ channel: '/orders', data: order }] };
}

const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  if (!SECRETS.some((secret) => isSigned(secret, request.headers, body))) {
    response.writeHead(403).end();
    return;
  }
  const { call, events, dropped } = JSON.parse(body);
  if (call) {
    response.end(JSON.stringify(answer(call)));
    return;
  }
  if (dropped) console.log(`${dropped} events were lost`);
  for (const event of events) console.log(event.at, event.event, event.user, event.channel ?? '');
  response.writeHead(204).end();
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
