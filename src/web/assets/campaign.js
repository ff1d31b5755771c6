/* One campaign. */
import { drawActions } from './actions.js';
import { drawBar, drawLegend, drawStatus, failedOf, shareOf } from './bar.js';
import { drawChart } from './chart.js';
import { aloud, data, find, h, keyed, put, show, t } from './dom.js';
import { count, duration, percent, rate, time } from './format.js';
import './preview.js';
import { follow } from './stream.js';

const status = h('span');
find('times').before(status);

const slot = (name) => find('figures').querySelector(`[data-slot="${name}"]`);

function drawFigures(campaign) {
  const { total, done, perSecond, secondsLeft, status } = campaign;
  put(slot('done'), total === 0 ? '–' : percent(shareOf(campaign)));
  put(
    slot('rate'),
    status === 'running' && perSecond !== null ? t('perSecond', { n: rate(perSecond) }) : '–',
  );
  put(
    slot('timeLeft'),
    status === 'running' && secondsLeft !== null && done < total ? duration(secondsLeft) : '–',
  );
  put(
    slot('recipients'),
    total === 0 ? t('noRecipients') : t('ofTotal', { done: count(done), total: count(total) }),
  );
  put(slot('failedCount'), count(failedOf(campaign)));
}

function timesOf({ status, startAt, startedAt, finishedAt }) {
  const parts = [];
  if (status === 'scheduled' && startAt !== null) parts.push(t('startsAt', { time: time(startAt) }));
  if (startedAt !== null) parts.push(t('startedAt', { time: time(startedAt) }));
  if (finishedAt !== null) parts.push(t('endedAt', { time: time(finishedAt) }));
  return parts.join(' · ');
}

/** A table: a row an item, a cell a text or an element that `cells` gives. */
function drawTable(id, items, keyOf, cells) {
  show(find(id), items.length > 0);
  show(find(`${id}-none`), items.length === 0);
  keyed(
    find(id).querySelector('tbody'),
    items,
    keyOf,
    (item) =>
      h('tr', {}, ...cells(item).map((_, i) => h(i === 0 ? 'th' : 'td', i === 0 ? { scope: 'row' } : {}))),
    (row, item) =>
      cells(item).forEach((cell, i) => {
        const place = row.children[i];
        if (typeof cell === 'string') put(place, cell);
        else if (place.textContent !== cell.textContent) place.replaceChildren(cell);
      }),
  );
}

const WORKER_STATES = { alive: 'alive', silent: 'silent', 'presumed dead': 'presumedDead' };
const RELAY_STATES = {
  working: 'working',
  slowed: 'slowed',
  'half-open': 'halfOpen',
  open: 'open',
  misconfigured: 'misconfigured',
};

/** A state as a word with a colour beside it. */
function stateOf(words, state, more = '') {
  return h('span', { class: `state ${words[state] ?? ''}` }, t(words[state] ?? 'state') + more);
}

function exampleOf(address) {
  if (address === null) return '–';
  return data.mask ? address : h('a', { href: `/search#${encodeURIComponent(address)}` }, address);
}

function drawTables({ failures, workers, relays }) {
  drawTable(
    'failures',
    failures,
    ({ outcome, reason }) => `${outcome} ${reason}`,
    ({ recipients, outcome, reason, example }) => [count(recipients), t(outcome), reason, exampleOf(example)],
  );
  drawTable(
    'workers',
    workers,
    ({ worker }) => worker,
    ({ worker, host, pid, state, holds, doneLastMinute }) => [
      `#${worker}`,
      `${host}:${pid}`,
      stateOf(WORKER_STATES, state),
      count(holds),
      count(doneLastMinute),
    ],
  );
  drawTable(
    'relays',
    relays,
    ({ name, worker }) => `${worker} ${name}`,
    ({ name, worker, state, words, slowedTo }) => [
      name,
      `#${worker}`,
      stateOf(RELAY_STATES, state, slowedTo === null ? '' : ` ${t('atMost', { n: rate(slowedTo) })}`),
      words ?? '–',
    ],
  );
}

follow(data.id, (cells) => {
  const { campaign } = cells;
  if (campaign === null) {
    put(find('times'), t('gone'));
    drawActions({ status: 'gone', waiting: 0, outcomes: {} });
    return;
  }
  drawStatus(status, campaign.status);
  put(find('times'), timesOf(campaign));
  show(find('reason'), campaign.reason !== null);
  put(find('reason'), campaign.reason ?? '');
  drawFigures(campaign);
  drawBar(find('bar'), campaign);
  drawLegend(find('legend'), campaign);
  drawActions(campaign);
  drawTables(cells);
  void drawChart(cells.spans, campaign.status === 'running');
  const { name, done, total } = campaign;
  aloud(t('aloud', { name, share: percent(shareOf(campaign)), done: count(done), total: count(total) }));
});
