// Who is here, who invites whom, and which matches there are. It knows no network; sessions are names to it, and what
// a player does is told with the session that does it. The time (ms) is an argument.
import { Match } from './match.mjs';
import { RIGHT } from './physics.mjs';

export const MAX_PLAYERS = 200;
export const MAX_MATCHES = 50;
export const MAX_NAME = 30;
/** Who is in no match is forgotten so long after the end of the session (ms): a page that is loaded anew comes back. */
export const GRACE = 5_000;
/** How long an invitation stands (ms). */
export const INVITED_FOR = 60_000;
/** How long a match is listed after its end (ms). */
export const LISTED_FOR = 20_000;

/** The player that is always there, and plays for the house. */
const HOUSE = 'house';

export class Lobby {
  /** By id: `{ id, name, session, goneSince }`; those of whom no session is known are to come back. */
  #players = new Map();
  #ids = new Map();
  /** By who invites: `{ to, since }`. */
  #invitations = new Map();
  /** By id: `{ match, players, names, overSince }`, players and names by side. */
  #matches = new Map();
  #tickets;

  /** @param {Tickets} tickets */
  constructor(tickets) {
    this.#tickets = tickets;
  }

  /** Takes up what an earlier run has published, of the lobby and of each match by its id. */
  restore({ players, matches }, states, now) {
    for (const { id, name } of players) this.#players.set(id, { id, name, session: null, goneSince: now });
    for (const { id, players: pair, names } of matches) {
      const state = states.get(id);
      if (!state || state.end) continue;
      const house = pair[RIGHT] === HOUSE ? RIGHT : undefined;
      this.#matches.set(id, { match: Match.restore(state, now, { house }), players: pair, names, overSince: null });
    }
  }

  /** Somebody comes in or, with a ticket, comes back; what the player has to know. */
  enter(session, { name, ticket } = {}, now) {
    const id = this.#tickets.read(ticket) ?? this.#ids.get(session) ?? this.#tickets.newId();
    const known = this.#players.get(id);
    if (!known && this.#players.size >= MAX_PLAYERS) throw new Error('The lobby is full.');
    const player = known ?? { id, name: 'Somebody' };
    if (name !== undefined && !this.#played(id)) player.name = cleanName(name);
    if (this.#ids.get(session) !== id) this.end(session, now);
    // The newest session is the player's: an older one may be a connection that was lost.
    this.#ids.delete(player.session);
    Object.assign(player, { session, goneSince: null });
    this.#players.set(id, player);
    this.#ids.set(session, id);
    this.#played(id)?.hear(now);
    return { id, name: player.name, ticket: this.#tickets.of(id) };
  }

  /** A session has ended. */
  end(session, now) {
    const id = this.#ids.get(session);
    if (!id) return;
    this.#ids.delete(session);
    Object.assign(this.#players.get(id), { session: null, goneSince: now });
    this.#played(id)?.lose(now);
  }

  /** Nobody knows any more which sessions there are: all players have to come back. */
  endAll(now) {
    for (const session of [...this.#ids.keys()]) this.end(session, now);
  }

  /** Invites a player; if that one has invited this one, they play. */
  invite(session, { player }, now) {
    const from = this.#free(session);
    const to = this.#players.get(player);
    if (!to || to === from) throw new Error('That player is not here any more.');
    if (this.#played(to.id)) throw new Error(`${to.name} is playing.`);
    if (this.#invitations.get(to.id)?.to === from.id) return this.#begin([to, from], now);
    this.#invitations.set(from.id, { to: to.id, since: now });
    return { invited: to.id };
  }

  /** Takes back the own invitation, or declines that of a player. */
  decline(session, { player }) {
    const { id } = this.#player(session);
    if (player === undefined) this.#invitations.delete(id);
    else if (this.#invitations.get(player)?.to === id) this.#invitations.delete(player);
    return {};
  }

  /** Begins a match against the house. */
  practise(session, _, now) {
    return this.#begin([this.#free(session), { id: HOUSE, name: 'The house' }], now);
  }

  /** Moves a pad: that of the session's own player, and no other. */
  pad(session, { y }, now) {
    if (!Number.isFinite(y)) throw new Error('y has to be a number.');
    const played = this.#played(this.#player(session).id);
    if (!played) throw new Error('You are in no match.');
    played.want(y, now);
    return {};
  }

  /** Gives up the match. */
  leave(session) {
    this.#played(this.#player(session).id)?.leave();
    return {};
  }

  /** Lets happen what happens until now; whether anything of that is to be seen in the lobby. */
  advance(now) {
    let changed = false;
    for (const [id, entry] of this.#matches) {
      const before = entry.match.score.join();
      entry.match.advance(now);
      if (entry.match.score.join() !== before) changed = true;
      if (!entry.match.end) continue;
      if (entry.overSince === null) changed = true;
      entry.overSince ??= now;
      if (now - entry.overSince > LISTED_FOR) changed = this.#matches.delete(id);
    }
    for (const [id, { since }] of this.#invitations) {
      if (now - since > INVITED_FOR) changed = this.#invitations.delete(id);
    }
    for (const { id, goneSince } of this.#players.values()) {
      if (goneSince === null || now - goneSince <= GRACE || this.#played(id)) continue;
      changed = this.#remove(id);
    }
    return changed;
  }

  /** What everybody may see of it. */
  state() {
    return {
      players: [...this.#players.values()].map(({ id, name }) => ({ id, name })),
      invitations: [...this.#invitations].map(([from, { to }]) => ({ from, to })),
      matches: [...this.#matches].map(([id, { match, players, names }]) => {
        return { id, players, names, score: match.score, over: match.end !== null };
      }),
    };
  }

  /** The matches by their ids. */
  *matches() {
    for (const [id, { match }] of this.#matches) yield [id, match];
  }

  /** The player of a session. */
  #player(session) {
    const id = this.#ids.get(session);
    if (!id) throw new Error('Enter first.');
    return this.#players.get(id);
  }

  /** The player of a session, who is not in a match. */
  #free(session) {
    const player = this.#player(session);
    if (this.#played(player.id)) throw new Error('You are playing.');
    return player;
  }

  /** The match that a player is in, as that player may use it. */
  #played(id) {
    for (const { match, players } of this.#matches.values()) {
      const side = players.indexOf(id);
      if (side < 0 || match.end) continue;
      return {
        hear: (now) => match.hear(side, now),
        lose: (now) => match.lose(side, now),
        leave: () => match.leave(side),
        want: (y, now) => match.want(side, y, now),
      };
    }
    return undefined;
  }

  #begin(pair, now) {
    const running = [...this.#matches.values()].filter(({ match }) => !match.end);
    if (running.length >= MAX_MATCHES) throw new Error('All courts are taken.');
    for (const { id } of pair) this.#invitations.delete(id);
    const players = pair.map(({ id }) => id);
    // Who looks at the last match of one of them looks at the new one.
    for (const [id, { players: before }] of this.#matches) {
      if (before.some((player) => player !== HOUSE && players.includes(player))) this.#matches.delete(id);
    }
    const id = this.#tickets.newId();
    const match = new Match(now, { house: players[RIGHT] === HOUSE ? RIGHT : undefined });
    this.#matches.set(id, { match, players, names: pair.map(({ name }) => name), overSince: null });
    return { match: id };
  }

  #remove(id) {
    this.#invitations.delete(id);
    for (const [from, { to }] of this.#invitations) if (to === id) this.#invitations.delete(from);
    return this.#players.delete(id);
  }
}

/** A name without what would disturb others. */
function cleanName(name) {
  const text = String(name).normalize('NFC').replace(/[\p{C}\p{Z}\s]+/gu, ' ').trim();
  const cut = [...text].slice(0, MAX_NAME).join('').trim();
  if (!cut) throw new Error('Please say a name.');
  return cut;
}
