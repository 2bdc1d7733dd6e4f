/** The lists of the lobby, and invitations: shows them, and says what is to be done with whom. */

/** The player that is always there. */
export const HOUSE = 'house';

const element = (tag, content, options = {}) => {
  const made = Object.assign(document.createElement(tag), options);
  made.append(...[content].flat());
  return made;
};

/** A button that says what it does: `data-do`, and `data-to` whom. */
const button = (text, what, to = '', className = 'small') => {
  const made = element('button', text, { className });
  Object.assign(made.dataset, { do: what, to });
  return made;
};

export class LobbyView {
  #shown = '';
  #told = '[]';
  #players = document.querySelector('.players');
  #matches = document.querySelector('.matches');
  #invited = document.querySelector('.invited');

  /** Shows a lobby to a player, of whom it is known whether a match is on. */
  show(lobby, me, isPlaying) {
    const shown = JSON.stringify([lobby, me, isPlaying]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const busy = new Set(lobby.matches.filter(({ over }) => !over).flatMap(({ players }) => players));
    const invited = lobby.invitations.find(({ from }) => from === me.id)?.to;
    const others = lobby.players.filter(({ id }) => id !== me.id);
    const offer = ({ id }) => {
      if (busy.has(id)) return ['playing'];
      if (id === invited) return ['invited', button('Take back', 'decline')];
      return isPlaying ? [] : [button('Invite', 'invite', id)];
    };
    keepFocus(() => {
      this.#players.replaceChildren(
        line(`${me.name} (you)`, isPlaying ? ['playing'] : []),
        ...others.map((player) => line(player.name, offer(player))),
        line('The house', isPlaying ? [] : [button('Practise', 'practise', HOUSE)]),
      );
      this.#matches.replaceChildren(
        ...lobby.matches.map(({ id, names, score, over }) => {
          const text = `${names[0]} ${score[0]} : ${score[1]} ${names[1]}`;
          return line(text, over ? ['over'] : [button('Watch', 'watch', id)]);
        }),
      );
      document.querySelector('.alone').hidden = others.length > 0;
      this.#showInvitations(lobby, me, isPlaying);
    });
  }

  #showInvitations({ invitations, players }, me, isPlaying) {
    const from = isPlaying ? [] : invitations.filter(({ to }) => to === me.id).map((invitation) => invitation.from);
    const inviting = players.filter(({ id }) => from.includes(id));
    // What is said aloud is not said again.
    const told = JSON.stringify(inviting);
    if (told === this.#told) return;
    this.#told = told;
    this.#invited.hidden = inviting.length === 0;
    this.#invited.replaceChildren(
      ...inviting.map(({ id, name }) => {
        const says = element('span', [element('strong', name), ' invites you to a match.']);
        return element('p', [says, button('Play', 'invite', id, 'main small'), button('Not now', 'decline', id)]);
      }),
    );
    document.title = inviting.length > 0 ? `${inviting[0].name} invites you · Tennis` : 'Tennis · Mirant';
  }
}

/** All names are text, never markup: players choose them. */
function line(text, what) {
  return element('li', [element('span', text), element('span', what, { className: 'what' })]);
}

/** Replaces what is shown, and leaves the focus on the button that does the same. */
function keepFocus(replace) {
  const { do: what, to } = document.activeElement?.dataset ?? {};
  replace();
  if (what === undefined || document.activeElement !== document.body) return;
  const alike = [...document.querySelectorAll(`[data-do="${what}"]`)];
  const same = alike.find(({ dataset }) => (dataset.to ?? '') === (to ?? ''));
  same?.focus();
}
