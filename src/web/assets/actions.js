/* The buttons of a campaign. What cannot be taken back is asked about first. */
import { announce, ask, data, find, h, keyed, problemOf, put, show, t } from './dom.js';
import { count } from './format.js';

const { name } = data;

/** Asks in a dialog. @returns whether the answer was yes */
function confirmed(words) {
  const dialog = find('confirm');
  put(find('confirm-words'), words);
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

/** Milliseconds until a button may be pressed again though nothing came of it: to cancel millions takes a while. */
const DONE_MS = 60_000;

async function act(verb, said, query = '') {
  try {
    const done = await ask(`/api/campaigns/${encodeURIComponent(name)}/${verb}${query}`, {
      method: 'POST',
      headers: { 'x-sendstate-action': '1' },
      signal: AbortSignal.timeout(DONE_MS),
    });
    announce(said(done));
  } catch (error) {
    announce(problemOf(error), true);
  }
}

const VERBS = {
  pause: {
    fits: ({ status }) => status === 'running' || status === 'scheduled',
    press: () => act('pause', () => t('didPause', { name })),
  },
  resume: {
    fits: ({ status }) => status === 'paused',
    press: () => act('resume', () => t('didResume', { name })),
  },
  start: {
    fits: ({ status, waiting }) => waiting > 0 && (status === 'finished' || status === 'cancelled'),
    asks: ({ waiting }) => t('confirmStart', { name, n: count(waiting) }),
    press: () => act('start', () => t('didStart', { name })),
  },
  cancel: {
    fits: ({ status }) => ['draft', 'scheduled', 'running', 'paused'].includes(status),
    asks: ({ waiting }) => t('confirmCancel', { name, n: count(waiting) }),
    press: () => act('cancel', () => t('didCancel', { name })),
  },
};

let current = null;
let busy = false;

/** One press at a time: a second one while the first is under way would ask about a state that has passed. */
async function press(asks, go) {
  if (busy) return;
  busy = true;
  try {
    if (asks === undefined || (await confirmed(asks(current)))) await go();
  } finally {
    busy = false;
  }
}

/** The buttons that make sense now. Pause and resume take each other's place, and the focus stays on it. */
export function drawActions(campaign) {
  current = campaign;
  if (data.readOnly) return;
  const before = find('actions').contains(document.activeElement);
  keyed(
    find('actions'),
    Object.keys(VERBS).filter((verb) => VERBS[verb].fits(campaign)),
    (verb) => verb,
    (verb) => {
      const { asks, press: go } = VERBS[verb];
      const button = h('button', { type: 'button', class: verb }, t(verb));
      button.addEventListener('click', () => press(asks, go));
      return button;
    },
    () => undefined,
  );
  if (before && !find('actions').contains(document.activeElement)) find('actions').firstElementChild?.focus();
  drawRetry(campaign);
}

function drawRetry(campaign) {
  const group = find('retry');
  const outcomes = group.dataset.outcomes.split(' ').filter((outcome) => campaign.outcomes[outcome] > 0);
  show(group, outcomes.length > 0);
  keyed(
    group,
    outcomes,
    (outcome) => outcome,
    (outcome) => {
      const button = h('button', { type: 'button' });
      const words = () =>
        t('confirmRetry', { name, outcome: t(outcome), n: count(current.outcomes[outcome]) });
      const go = () =>
        act('retry', ({ recipients }) => t('didRetry', { n: count(recipients) }), `?outcome=${outcome}`);
      button.addEventListener('click', () => press(words, go));
      return button;
    },
    (button, outcome) =>
      put(button, t('retry', { outcome: t(outcome), n: count(campaign.outcomes[outcome]) })),
  );
}
