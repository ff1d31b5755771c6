/*
 * What every page needs: words, elements, and the search field. Texts go into the page as text, never as markup, because
 * half of them were written by relays and by people's spreadsheets.
 */
import { PROBLEMS, WORDS } from './words.js';

/** What the server says about this page: which campaign, what may be done. */
export const data = JSON.parse(document.body.dataset.data);
export const language = document.documentElement.lang;

/** A word of the page in its language. */
export function t(word, values = {}) {
  // What a newer worker has written into the log may have no word here yet; it is shown as it is.
  const text = WORDS[word]?.[language === 'ko' ? 1 : 0] ?? word;
  return text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** What went wrong, in the page's language; what has no words there keeps those of the server. */
export function problemOf({ code, message, hint }) {
  const known = language === 'ko' ? PROBLEMS[code] : undefined;
  return known ?? [message, hint].filter(Boolean).join(' ');
}

/** An element: `h('li', { class: 'row' }, 'text', h('b', {}, 'more'))`. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

export const find = (id) => document.getElementById(id);

/** Sets a text where it has changed, so that nothing is read or painted again without need. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, yes) {
  if (element.hidden === yes) element.hidden = !yes;
}

/**
 * Makes the children of an element those of a list: who stays is updated in place and keeps the focus, who is gone is
 * removed, and the order is the list's.
 */
export function keyed(parent, items, keyOf, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = before.get(key);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = key;
    }
    before.delete(key);
    update(child, item);
    const place = previous === null ? parent.firstElementChild : previous.nextElementSibling;
    if (child !== place) parent.insertBefore(child, place);
    previous = child;
  }
  for (const child of before.values()) child.remove();
}

/** Says what came of a button: to eyes and to screen readers alike. */
export function announce(text, wrong = false) {
  const said = find('said');
  said.classList.toggle('wrong', wrong);
  put(said, text);
}

/** Milliseconds between two announcements of progress: a screen reader has other things to say as well. */
const ALOUD_MS = 15_000;
let aloudAt = 0;

/** Says how things stand, now and then. */
export function aloud(text) {
  if (Date.now() - aloudAt < ALOUD_MS) return;
  aloudAt = Date.now();
  put(find('aloud'), text);
}

/** Milliseconds until a question without an answer is given up. The server gives its database five seconds. */
const ANSWER_MS = 20_000;

/** Data of the server. @throws Error with the server's message, and its hint as `hint`, its code as `code` */
export async function ask(path, options = {}) {
  const { answer, body } = await asked(path, options);
  if (answer.ok) return body;
  if (answer.status === 401) location.reload();
  throw Object.assign(new Error(body.message), { hint: body.hint, code: body.code });
}

async function asked(path, options) {
  try {
    const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS), ...options });
    return { answer, body: await answer.json() };
  } catch {
    throw Object.assign(new Error(t('noAnswer')), { code: 'no-answer' });
  }
}

const form = find('find');
form?.addEventListener('submit', (event) => {
  event.preventDefault();
  const words = form.elements.q.value.trim();
  if (words === '') return;
  // Behind the #, an address reaches no log and no other server.
  location.href = words.includes('@')
    ? `/search#${encodeURIComponent(words)}`
    : `/campaigns/${encodeURIComponent(words)}`;
});
