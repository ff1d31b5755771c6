/* One address: everything that happened to it. It stands behind the #, where no log sees it. */
import { ask, find, h, problemOf, put, t } from './dom.js';
import { time } from './format.js';

const EVENTS = {
  deferred: 'eventDeferred',
  trouble: 'eventTrouble',
  ambiguous: 'eventAmbiguous',
  returned: 'eventReturned',
  retried: 'eventRetried',
};

const replyOf = ({ replyCode, reply }) => [replyCode, reply].filter((part) => part !== null).join(' ');

/** What became of the recipient, as a sign and a word. */
function outcomeOf({ sendState, outcome }) {
  const word = outcome ?? (sendState === 1 ? 'claimed' : 'waiting');
  return h(
    'span',
    { class: 'outcome' },
    h('span', { class: `swatch ${word}`, 'aria-hidden': 'true' }),
    t(word),
  );
}

function logOf(found) {
  const rows = found.events.map(({ at, event, ...said }) => [
    time(at),
    t(EVENTS[event] ?? event),
    replyOf(said),
  ]);
  // The row itself is the last word; what ended otherwise than sent is in the log already.
  if (found.doneAt !== null && (found.outcome === 'sent' || found.events.length === 0)) {
    rows.push([time(found.doneAt), t(found.outcome), replyOf(found)]);
  }
  if (rows.length === 0) return '';
  const head = ['when', 'event', 'reply'].map((word) => h('th', { scope: 'col' }, t(word)));
  const body = rows.map((cells) => h('tr', {}, ...cells.map((cell) => h('td', {}, cell))));
  const label = { class: 'wide', tabindex: '0', role: 'region', 'aria-label': found.campaign };
  return h('div', label, h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...body)));
}

function draw(found) {
  const { campaign, attempts, maybeSent, retryAt, sendState } = found;
  const facts = [t('attempts', { n: String(attempts) })];
  if (maybeSent > 0) facts.push(t('maybeSent', { n: String(maybeSent) }));
  if (sendState === 0 && retryAt !== null) facts.push(t('nextTry', { time: time(retryAt) }));
  const link = h('a', { href: `/campaigns/${encodeURIComponent(campaign)}` }, campaign);
  return h(
    'section',
    { class: 'found' },
    h('div', { class: 'top' }, h('h2', {}, link), outcomeOf(found)),
    h('p', { class: 'quiet' }, facts.join(' · ')),
    logOf(found),
  );
}

async function search() {
  const address = decodeURIComponent(location.hash.slice(1));
  if (address === '') return;
  find('find-words').value = address;
  try {
    const found = await ask(`/api/search?address=${encodeURIComponent(address)}`);
    put(find('results-head'), t('results', { address: found[0]?.address ?? address }));
    put(find('hint'), found.length === 0 ? t('resultsNone') : '');
    find('results').replaceChildren(...found.map(draw));
  } catch (error) {
    put(find('hint'), problemOf(error));
    find('results').replaceChildren();
  }
}

addEventListener('hashchange', search);
void search();
