/** Elements and how values are written. Whatever clients choose goes in as text, and never as markup. */

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'open', 'htmlFor', 'className']);

/** Makes an element; attributes that are undefined, null or false are left out. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) element[key] = value;
    else if (value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...kept(children));
  return element;
}

const kept = (children) =>
  children.flat().filter((child) => child !== undefined && child !== null && child !== false);

/** Replaces what is in an element. */
export const fill = (element, ...children) => element.replaceChildren(...kept(children));

/** Control characters and what turns the direction of text, of which nobody sees that it is there. */
const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

const escaped = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** A text that a client has chosen, made harmless, and no longer than so many letters. */
export function harmless(text, most = 2000) {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut.replace(HARMFUL, escaped);
}

/** The same in an element that keeps its direction to itself. */
export const foreign = (text, most) => h('bdi', {}, harmless(String(text), most));

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const number = (value) => (Math.abs(value) >= 100 ? WHOLE : NUMBER).format(value);

export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${number(left)} ${units[unit]}`;
}

/** A time in milliseconds, as short as it can be read. */
export function milliseconds(value) {
  if (value === null || value === undefined) return '–';
  if (value >= 1000) return `${number(value / 1000)} s`;
  return value < 1 ? `${Math.round(value * 1000)} µs` : `${number(value)} ms`;
}

/** How long ago something was. */
export function age(time, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

export const clock = (time) =>
  new Date(time).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

let ids = 0;

/** A field with its label, and perhaps a hint that is read with it. */
export function field(label, control, hint) {
  ids += 1;
  control.id = `f${ids}`;
  const explained = hint && h('span', { id: `h${ids}`, class: 'hint' }, hint);
  if (explained) control.setAttribute('aria-describedby', explained.id);
  return h('div', { class: 'field' }, h('label', { htmlFor: control.id }, label), control, explained);
}

/** What is wrong, where it is read at once. */
export const failure = (text) => h('p', { class: 'failure', role: 'alert' }, '⚠ ', foreign(text));

export const empty = (text) => h('p', { class: 'empty' }, text);

/** Asks before something is done that cannot be undone. */
export function confirmed(question, detail, action) {
  return new Promise((resolve) => {
    const answer = (value) => () => {
      dialog.close();
      resolve(value);
    };
    const dialog = h(
      'dialog',
      { 'aria-labelledby': 'question' },
      h('h2', { id: 'question' }, question),
      h('p', {}, ...[detail].flat()),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', onclick: answer(false) }, 'Cancel'),
        h('button', { type: 'button', class: 'danger', onclick: answer(true) }, action),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(false);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The head of a section, with what there is to do. */
export const heading = (title, ...actions) =>
  h('div', { class: 'heading' }, h('h1', { tabindex: '-1' }, title), h('div', { class: 'buttons' }, ...actions));
