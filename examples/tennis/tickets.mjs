// Tickets, by which a player who comes back by another session is known: the player's id, and a signature by a
// secret. Nothing needs to be kept of them, so they are good after a restart, too.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export class Tickets {
  #secret;

  constructor(secret) {
    this.#secret = secret;
  }

  /** The id of somebody new, which everybody may know. */
  newId() {
    return randomBytes(6).toString('base64url');
  }

  /** The ticket of a player, which only that player may know. */
  of(id) {
    return `${id}.${this.#sign(id)}`;
  }

  /** Whose ticket it is, or null if it is none. */
  read(ticket) {
    if (typeof ticket !== 'string') return null;
    const [id] = ticket.split('.', 1);
    const [shown, right] = [Buffer.from(ticket), Buffer.from(this.of(id))];
    return shown.length === right.length && timingSafeEqual(shown, right) ? id : null;
  }

  #sign(id) {
    return createHmac('sha256', this.#secret).update(`tennis ${id}`).digest('base64url');
  }
}
