import { createHmac } from 'node:crypto';

/** The secret of tokens, which servers have from a file with this text. */
export const SECRET = 'a secret that is long enough to be one';

/** Makes a token (JWT, HS256) of a user that expires in so many seconds. */
export function tokenOf(user, seconds, claims = {}, secret = SECRET) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const parts = [{ alg: 'HS256' }, { sub: user, exp, ...claims }];
  const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
