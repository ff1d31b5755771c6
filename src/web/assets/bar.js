/* The bar: all recipients, by outcome; each part with a pattern of its own, and named with its number below. */
import { h, keyed, put, t } from './dom.js';
import { count, percent } from './format.js';

const OUTCOMES = ['sent', 'rejected', 'expired', 'invalid', 'unconfirmed', 'suppressed', 'cancelled'];

/** The parts of a campaign that are not empty, in the order of the bar. */
function partsOf({ outcomes, claimed, waiting }) {
  const all = [
    ...OUTCOMES.map((key) => ({ key, n: outcomes[key] })),
    { key: 'claimed', n: claimed },
    { key: 'waiting', n: waiting },
  ];
  return all.filter(({ n }) => n > 0);
}

export const shareOf = ({ done, total }) => (total === 0 ? 0 : done / total);

export const failedOf = ({ outcomes }) =>
  outcomes.rejected + outcomes.expired + outcomes.invalid + outcomes.unconfirmed;

export function drawBar(element, campaign) {
  const parts = partsOf(campaign);
  keyed(
    element,
    parts,
    ({ key }) => key,
    ({ key }) => h('span', { class: `part ${key}` }),
    (part, { n }) => {
      part.style.flexGrow = n;
    },
  );
  const words = parts.map(({ key, n }) => `${count(n)} ${t(key)}`).join(', ');
  const label =
    parts.length === 0
      ? t('noRecipients')
      : t('progressOf', { share: percent(shareOf(campaign)), parts: words });
  if (element.getAttribute('aria-label') !== label) element.setAttribute('aria-label', label);
}

export function drawLegend(element, campaign) {
  const parts = partsOf(campaign).map(({ key, n }) => ({ key, n: count(n), words: t(key) }));
  if (campaign.retrying > 0) {
    parts.push({ key: 'note', n: '', words: t('retrying', { n: count(campaign.retrying) }) });
  }
  const make = ({ key }) => {
    const swatch = h('span', { class: `swatch ${key}`, 'aria-hidden': 'true' });
    return h('li', { class: key === 'note' ? key : null }, swatch, h('b'), h('span', { class: 'name' }));
  };
  keyed(
    element,
    parts,
    ({ key }) => key,
    make,
    (row, { n, words }) => {
      put(row.children[1], n);
      put(row.children[2], words);
    },
  );
}

/** The status as a word with a sign, so that colour is not all there is. */
export function drawStatus(element, status) {
  if (element.dataset.status === status) return;
  element.dataset.status = status;
  element.className = `status ${status}`;
  put(element, t(status));
}
