/**
 * What this page knows of the game, and what it asks for: the lobby and one match as the game's server publishes them,
 * and calls to it. It knows nothing of the page.
 */

const LOBBY = '/tennis/lobby';
const MATCH = '/tennis/match/';
/** By which this tab is known to the game's server when it comes back. */
const TICKET = 'mirant-demo-tennis-ticket';

/** How long a call waits for its answer (ms). */
const PATIENCE = 4_000;
/** The game's server says something at least so often of the lobby, and of a match (ms). */
const LOBBY_SILENCE = 25_000;
const MATCH_SILENCE = 3_500;
/** How long it may take until the game's server is known to be another (ms). */
const ANOTHER_RUN = 2_000;
const LOOK_EVERY = 1_000;
/** How often it is looked for while it does not answer (ms). */
const TRY_EVERY = 3_000;

export class Game {
  /** What the game's server has published last. */
  lobby = null;
  /** Who this is: `{ id, name }`. */
  me = null;
  /** Whether the game's server answers: null as long as that is not known. */
  isThere = null;
  /** Whether another window of this player has taken over. */
  isElsewhere = false;
  #cometd = null;
  #isConnected = false;
  #name;
  #watched = null;
  #subscription = null;
  /** The run of the game's server that this player has entered. */
  #entered = null;
  /** How often this player has entered. */
  #entries = 0;
  #isEntering = false;
  #heardAt = 0;
  #triedAt = 0;
  #changed;
  #stated;

  /**
   * @param {string} name of the player
   * @param {() => void} changed called when something of all this has changed
   * @param {(state: object) => void} stated called with each state of the match that is watched
   */
  constructor(name, changed, stated) {
    this.#name = name;
    this.#changed = changed;
    this.#stated = stated;
    setInterval(() => this.#look(), LOOK_EVERY);
  }

  /** A session has begun, of which nobody knows anything yet. */
  begin(cometd) {
    this.#cometd = cometd;
    this.#entered = null;
    this.#isEntering = false;
    cometd.batch(() => {
      cometd.subscribe(LOBBY, ({ data }) => this.#hearLobby(data));
      this.#subscribe();
      if (!this.isElsewhere) this.enter();
    });
  }

  set isConnected(isConnected) {
    this.#isConnected = isConnected;
  }

  /** Comes in, or back; with another name if one is given. */
  enter(name = this.#name) {
    this.#name = name;
    if (this.#isEntering) return;
    this.#isEntering = true;
    this.#triedAt = performance.now();
    const ticket = sessionStorage.getItem(TICKET) ?? undefined;
    this.#call('enter', { name, ticket }, (answer, error) => {
      this.#isEntering = false;
      if (error) return;
      sessionStorage.setItem(TICKET, answer.ticket);
      this.me = { id: answer.id, name: answer.name };
      this.#entered = answer.run;
      this.#entries += 1;
      this.isElsewhere = false;
      this.#changed();
    });
  }

  /** Asks for something; what is wrong with that is told. */
  ask(what, data = {}, failed = () => {}) {
    this.#call(what, data, (_, error) => error && failed(error));
  }

  /** Says where the own pad is wanted, and that the player is there. */
  want(y) {
    if (this.isElsewhere || !this.#isConnected) return;
    const entries = this.#entries;
    this.#call('pad', { y }, (_, error) => {
      if (error !== 'Enter first.') return;
      // If it is another run of the game's server that does not know this session, that is soon known.
      setTimeout(() => {
        if (this.#entries !== entries || this.#isEntering || this.isElsewhere) return;
        this.isElsewhere = true;
        this.#changed();
      }, ANOTHER_RUN);
    });
  }

  /** Watches one match instead of the one before; null is none. */
  watch(id) {
    if (id === this.#watched) return;
    if (this.#subscription) this.#cometd.unsubscribe(this.#subscription);
    this.#subscription = null;
    this.#watched = id;
    this.#heardAt = performance.now();
    if (this.#cometd) this.#subscribe();
  }

  #subscribe() {
    if (!this.#watched) return;
    this.#subscription = this.#cometd.subscribe(MATCH + this.#watched, ({ data }) => {
      this.#heardAt = performance.now();
      this.#stated(data);
    });
  }

  #hearLobby(lobby) {
    this.lobby = lobby;
    this.#heardAt = performance.now();
    // Another run of the game's server does not know this session.
    if (lobby.run !== this.#entered && !this.isElsewhere) this.enter();
    this.#changed();
  }

  /** Sees whether the game's server is there if it should have said something, or was away. */
  #look() {
    if (!this.#isConnected || this.isElsewhere) return;
    const isOn = this.lobby?.matches.some(({ id, over }) => id === this.#watched && !over);
    const now = performance.now();
    const isLate = now - this.#heardAt > (isOn ? MATCH_SILENCE : LOBBY_SILENCE);
    if ((isLate || !this.isThere) && now - this.#triedAt > TRY_EVERY) this.enter();
  }

  #call(what, data, answered) {
    if (!this.#cometd || this.#cometd.isDisconnected()) return answered(undefined, 'There is no connection.');
    this.#cometd.remoteCall(`tennis/${what}`, data, PATIENCE, ({ successful, data: answer, error }) => {
      // Without a code in front it is what the game's server says.
      const said = successful ? null : answer?.error ?? error ?? '408';
      const isAway = said !== null && /^\d{3}(:|$)/.test(said);
      if (!isAway || this.#isConnected) this.#become(!isAway);
      if (!isAway) this.#heardAt = performance.now();
      answered(answer, said);
    });
  }

  #become(isThere) {
    if (isThere === this.isThere) return;
    this.isThere = isThere;
    this.#changed();
  }
}
