/** Comet tennis: the lobby, or a match; players and spectators see the same, and only players have a pad. */
import { keepName, ownName } from './person.js';
import { start } from './shell.js';
import { Game } from './tennis-game.js';
import { HOUSE, LobbyView } from './tennis-lobby.js';
import { MatchView } from './tennis-match.js';

const find = (what) => document.querySelector(what);
const lobbyView = new LobbyView();
const game = new Game(ownName(), show, (state) => matchView.add(state));
const matchView = new MatchView((y) => game.want(y));

/** The match on the page, as the lobby had it last. */
let match = null;
/** The match that is to be watched, and those that were left. */
let watched = null;
const left = new Set();

/** The match that belongs on the page: the own one, or else one that is watched; its end is seen, too. */
function matchNow() {
  const { matches } = game.lobby;
  const own = matches.find(({ id, players, over }) => players.includes(game.me.id) && !left.has(id) && (!over || id === match?.id));
  if (own) return own;
  const known = matches.find(({ id }) => id === watched);
  // The lobby forgets matches that are over before who looks at them does.
  return known ?? (match && !left.has(match.id) ? { ...match, over: true } : null);
}

function show() {
  const { lobby, me, isThere } = game;
  const isIn = lobby !== null && me !== null;
  if (isIn) {
    match = matchNow();
    watched = match?.id ?? null;
    game.watch(watched);
    const side = match ? match.players.indexOf(me.id) : -1;
    const isPlaying = side >= 0 && !match.over;
    const canPlayAgain = side >= 0 && isHere(opponent());
    matchView.show(match, side, lobby.court, { isNewsless: isThere === false, canPlayAgain });
    lobbyView.show(lobby, me, isPlaying);
  }
  find('.lobby').hidden = !isIn || isThere === false || match !== null;
  find('.looking').hidden = isThere !== null;
  find('.no-game').hidden = isThere !== false || match !== null;
  find('.elsewhere').hidden = !game.isElsewhere;
}

const opponent = () => match.players.find((id) => id !== game.me.id);
const isHere = (id) => id === HOUSE || game.lobby.players.some((player) => player.id === id);

const asks = (what, data) => {
  shell.problem('');
  game.ask(what, data, (error) => shell.problem(error));
};

/** What buttons do; `to` is with whom. */
const DEEDS = {
  invite: (to) => asks('invite', { player: to }),
  decline: (to) => asks('decline', to ? { player: to } : {}),
  practise: () => asks('practise'),
  return: () => game.enter(),
  watch(to) {
    left.delete(to);
    watched = to;
    match = null;
    show();
  },
  leave() {
    if (match.players.includes(game.me.id) && !match.over) asks('leave');
    else back();
  },
  again() {
    const id = opponent();
    back();
    if (id === HOUSE) DEEDS.practise();
    else DEEDS.invite(id);
  },
};

function back() {
  left.add(match.id);
  watched = null;
  match = null;
  show();
}

document.addEventListener('click', ({ target }) => {
  const { do: what, to } = target.closest?.('[data-do]')?.dataset ?? {};
  DEEDS[what]?.(to);
});

const naming = find('form.name');
naming.elements.name.value = ownName();
naming.addEventListener('submit', (event) => event.preventDefault());
naming.addEventListener('change', () => {
  naming.elements.name.value = keepName(naming.elements.name.value);
  game.enter(naming.elements.name.value);
});

const shell = await start({
  onSession: (cometd) => game.begin(cometd),
  onState(isConnected) {
    game.isConnected = isConnected;
  },
});
