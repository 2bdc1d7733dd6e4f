/** The chat: rooms are channels, the last messages come from their history, and clients tell who is there. */
import { Follower } from './history.js';
import { hueOf, keepName, newId, ownName } from './person.js';
import { Presence } from './presence.js';
import { start } from './shell.js';

const ROOMS = ['lounge', 'kitchen', 'garden'];
const MOST_MESSAGES = 200;

const find = (what) => document.querySelector(what);
const [log, people, say, naming] = ['.log', '.people ul', '.say', '.name'].map(find);
const me = { id: newId(), name: ownName() };
const presence = new Presence(me, showPeople);
let cometd;
let room = roomNow();
let followed = followerOf(room);

naming.elements.name.value = me.name;
showRooms();

/** The room that the address names, which may be any: `#office`. */
function roomNow() {
  const name = decodeURIComponent(location.hash.slice(1)).toLowerCase();
  return /^[a-z0-9-]{1,30}$/.test(name) ? name : ROOMS[0];
}

function channelOf(name) {
  return `/demo/chat/${name}`;
}

function followerOf(name) {
  return new Follower(channelOf(name), show, () => log.replaceChildren());
}

/** Enters the room of now. */
function enter() {
  followed.follow(cometd);
  presence.enter(cometd, `/demo/present/${room}`);
}

addEventListener('hashchange', () => {
  if (roomNow() === room) return;
  room = roomNow();
  showRooms();
  log.replaceChildren();
  people.replaceChildren();
  followed.end();
  followed = followerOf(room);
  if (cometd && !cometd.isDisconnected()) enter();
});

function showRooms() {
  const all = ROOMS.includes(room) ? ROOMS : [...ROOMS, room];
  find('.rooms').replaceChildren(
    ...all.map((name) => {
      const link = document.createElement('a');
      link.href = `#${name}`;
      link.textContent = name;
      if (name === room) link.setAttribute('aria-current', 'page');
      return link;
    }),
  );
}

/** Adds a message. Anyone may publish anything: all of it is text, never markup. */
function show(data) {
  const isChat = typeof data?.name === 'string' && typeof data?.text === 'string';
  const isMine = isChat && data.name === me.name;
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const part = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const message = part('div', isMine ? 'message mine' : 'message', '');
  const from = isChat ? data.name : 'somebody’s data';
  message.style.setProperty('--hue', hueOf(from));
  message.append(part('span', 'from', from));
  if (Number.isFinite(data?.at)) {
    const time = new Date(data.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    message.append(part('time', '', time));
  }
  message.append(part('span', 'text', isChat ? data.text : JSON.stringify(data)));
  log.append(message);
  if (log.childElementCount > MOST_MESSAGES) log.firstElementChild.remove();
  if (isAtEnd || isMine) log.scrollTop = log.scrollHeight;
}

function showPeople() {
  const all = [...presence.people.values()].sort((a, b) => a.name.localeCompare(b.name));
  people.replaceChildren(
    ...all.map(({ id, name }) => {
      const line = document.createElement('li');
      line.style.setProperty('--hue', hueOf(name));
      line.textContent = id === me.id ? `${name} (you)` : name;
      return line;
    }),
  );
}

say.addEventListener('submit', (event) => {
  event.preventDefault();
  const { text } = say.elements;
  const said = text.value.trim();
  if (!said) return;
  text.value = '';
  shell.problem('');
  cometd.publish(channelOf(room), { name: me.name, text: said, at: Date.now() }, ({ successful }) => {
    if (!successful) text.value ||= said;
  });
});

naming.addEventListener('submit', (event) => event.preventDefault());
naming.addEventListener('change', () => {
  me.name = keepName(naming.elements.name.value);
  naming.elements.name.value = me.name;
  if (cometd && !cometd.isDisconnected()) presence.say('here');
});

const shell = await start({
  onSession(client) {
    cometd = client;
    enter();
  },
  onState(isConnected) {
    say.querySelector('button').disabled = !isConnected;
  },
  onLeave: () => presence.bye(),
});
