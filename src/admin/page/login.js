/** Asks for a password, if the server has users with such, or for a key. */

import { get, key, post } from './api.js';
import { failure, field, fill, h } from './dom.js';

/**
 * Asks until somebody is known.
 *
 * @param {(known: object) => void} start is told who that is
 */
export async function prompt(app, start, problem) {
  // Whoever comes back to a server that is away may at least show a key.
  const { passwords } = await get('/login').catch(() => ({ passwords: false }));
  const byKey = keyForm(start, passwords ? undefined : problem);
  fill(
    app,
    h(
      'main',
      { class: 'prompt' },
      h('h1', {}, 'Mirant'),
      passwords ? passwordForm(start, problem) : byKey,
      passwords && h('details', {}, h('summary', {}, 'Use a key instead'), byKey),
      help(passwords),
    ),
  );
  app.querySelector('input').focus();
}

const text = (attributes) => h('input', { required: true, spellcheck: 'false', autocapitalize: 'off', ...attributes });

function passwordForm(start, problem) {
  const user = text({ type: 'text', name: 'user', autocomplete: 'username' });
  const password = text({ type: 'password', name: 'password', autocomplete: 'current-password' });
  const open = () => post('/login', JSON.stringify({ user: user.value, password: password.value }));
  return form(start, problem, 'Log in', open, () => password.select(), field('User', user), field('Password', password));
}

function keyForm(start, problem) {
  const input = text({ type: 'password', name: 'key', autocomplete: 'off' });
  const open = async () => {
    key.set(input.value.trim());
    try {
      return await get('/key');
    } catch (error) {
      key.forget();
      throw error;
    }
  };
  const shown = field('Key of the HTTP API', input, 'It is kept until this tab is closed.');
  return form(start, problem, 'Open', open, () => input.focus(), shown);
}

/** A form that says what went wrong, and then has it tried again. */
function form(start, problem, name, open, again, ...fields) {
  const told = h('div', {}, problem && failure(problem));
  const button = h('button', { type: 'submit', class: 'primary' }, name);
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      start(await open());
    } catch (error) {
      button.disabled = false;
      fill(told, failure(error.message));
      again();
    }
  };
  return h('form', { class: 'card form', onsubmit }, ...fields, told, button);
}

const help = (passwords) =>
  h(
    'details',
    {},
    h('summary', {}, passwords ? 'Where do I get a password or a key?' : 'Where do I get a key?'),
    h('p', {}, 'This command prints a key, and its hash:'),
    h('pre', { class: 'code' }, 'mirant api-key'),
    h('p', {}, 'Put the hash into the configuration of the server, and reload it. "admin" allows all that there is here; "read" shows figures and channels only.'),
    h('pre', { class: 'code' }, '[[api.key]]\nname = "operator"\nhash = "sha256:…"\nallow = ["admin"]'),
    h('p', {}, 'To log in with a password, have it hashed, and add a user:'),
    h('pre', { class: 'code' }, 'mirant hash-password'),
    h('pre', { class: 'code' }, '[[admin.user]]\nname = "ada"\npassword_hash = "$argon2id$…"\nallow = ["admin"]'),
  );
