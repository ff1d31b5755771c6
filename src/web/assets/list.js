/* The list of campaigns. */
import { drawBar, drawLegend, drawStatus, failedOf, shareOf } from './bar.js';
import { aloud, find, h, keyed, put, show, t } from './dom.js';
import { count, duration, percent, rate, time } from './format.js';
import { follow } from './stream.js';

function make({ name }) {
  return h(
    'li',
    {},
    h(
      'div',
      { class: 'top' },
      h('h2', {}, h('a', { href: `/campaigns/${encodeURIComponent(name)}` }, name)),
      h('span'),
    ),
    h('div', { class: 'bar', role: 'img' }),
    h('ul', { class: 'legend' }),
    h('p', { class: 'quiet facts' }),
  );
}

function factsOf(campaign) {
  const { status, total, done, perSecond, secondsLeft, startAt, startedAt, finishedAt } = campaign;
  const facts = [total === 0 ? t('noRecipients') : t('ofTotal', { done: count(done), total: count(total) })];
  if (total > 0) facts.unshift(percent(shareOf(campaign)));
  if (status === 'running' && perSecond > 0) facts.push(t('perSecond', { n: rate(perSecond) }));
  if (status === 'running' && secondsLeft > 0) facts.push(t('left', { time: duration(secondsLeft) }));
  if (status === 'scheduled') facts.push(t('startsAt', { time: time(startAt) }));
  if (finishedAt !== null) facts.push(t('endedAt', { time: time(finishedAt) }));
  else if (startedAt !== null) facts.push(t('startedAt', { time: time(startedAt) }));
  return facts;
}

function update(row, campaign) {
  const [top, bar, legend, facts] = row.children;
  drawStatus(top.children[1], campaign.status);
  show(bar, campaign.total > 0);
  drawBar(bar, campaign);
  show(legend, failedOf(campaign) > 0 || campaign.status === 'running');
  drawLegend(legend, campaign);
  put(facts, factsOf(campaign).join(' · '));
}

/** What is being sent comes first, then the latest. */
const ORDER = { running: 0, paused: 1, scheduled: 2 };
const placeOf = ({ status }) => ORDER[status] ?? 3;

/** As many as the server lists besides those that are not over. */
const LISTED = 100;

follow(undefined, (cells) => {
  const campaigns = Object.values(cells).filter((campaign) => campaign !== null);
  campaigns.sort((a, b) => placeOf(a) - placeOf(b) || b.id - a.id);
  show(find('loading'), false);
  show(find('none'), campaigns.length === 0);
  show(find('listed'), campaigns.length >= LISTED);
  keyed(find('campaigns'), campaigns, ({ id }) => id, make, update);
  const running = campaigns.filter(({ status }) => status === 'running');
  if (running.length > 0) {
    aloud(
      running
        .map((campaign) =>
          t('aloud', {
            name: campaign.name,
            share: percent(shareOf(campaign)),
            done: count(campaign.done),
            total: count(campaign.total),
          }),
        )
        .join(' '),
    );
  }
});
