import { html } from 'hono/html';
import { RETRYABLE } from '../model/states.ts';
import { type Markup, type PageContext, pageOf } from './layout.ts';
import { LISTED } from './snapshot.ts';
import { say, type Word } from './words.ts';

/** Every campaign of the list, live. */
export function listPage(page: PageContext): Markup {
  const t = (word: Word, values?: Record<string, string>) => say(page.language, word, values);
  return pageOf(page, {
    title: `${t('campaigns')} · sendstate`,
    view: 'list',
    main: html`<h1>${t('campaigns')}</h1>
<p class="quiet" id="loading">${t('loading')}</p>
<noscript><p>${t('noScript')}</p></noscript>
<div class="none" id="none" hidden><p>${t('noCampaigns')}</p><p class="quiet">${t('noCampaignsHint')}</p><pre tabindex="0">sendstate create spring --from 'News &lt;news@example.com&gt;' --subject 'Hello {{name}}' --html hello.html
sendstate import spring people.csv
sendstate send spring</pre></div>
<ul class="campaigns" id="campaigns"></ul>
<p class="quiet" id="listed" hidden>${t('listed', { n: String(LISTED) })}</p>`,
  });
}

/** One campaign, live. */
export function campaignPage(page: PageContext, campaign: { id: number; name: string }): Markup {
  const t = (word: Word) => say(page.language, word);
  return pageOf(page, {
    title: `${campaign.name} · sendstate`,
    view: 'campaign',
    data: { id: String(campaign.id), name: campaign.name },
    styles: ['uplot'],
    main: html`<nav class="path" aria-label="${t('campaigns')}"><a href="/">${t('campaigns')}</a></nav>
<div class="head">
<div><h1>${campaign.name}</h1><p class="quiet" id="times">${t('loading')}</p></div>
<div class="actions" id="actions"></div>
</div>
<noscript><p>${t('noScript')}</p></noscript>
<p class="notice" id="reason" hidden></p>
<dl class="figures" id="figures">
${(['done', 'rate', 'timeLeft', 'recipients', 'failedCount'] as const).map(
  (word) => html`<div><dt>${t(word)}</dt><dd data-slot="${word}">–</dd></div>`,
)}
</dl>
<div class="bar large" id="bar" role="img"></div>
<ul class="legend" id="legend"></ul>
<section aria-labelledby="chart-head"><h2 id="chart-head">${t('chart')}</h2><div class="chart" id="chart" role="img"></div><p class="quiet" id="chart-none" hidden>${t('chartNone')}</p></section>
${failuresOf(page)}
<div class="two">
${tableOf(page, 'workers', ['worker', 'process', 'state', 'holds', 'lastMinute'], 'workersNone')}
${tableOf(page, 'relays', ['relay', 'worker', 'state', 'lastWords'], 'relaysNone')}
</div>
${previewOf(page)}
<dialog id="confirm" aria-labelledby="confirm-words"><form method="dialog"><p id="confirm-words"></p><div class="actions"><button value="no">${t('confirmNo')}</button><button class="main" value="yes">${t('confirmYes')}</button></div></form></dialog>`,
  });
}

function failuresOf(page: PageContext): Markup {
  const t = (word: Word) => say(page.language, word);
  const retry = page.readOnly
    ? ''
    : html`<div class="retry" id="retry" role="group" aria-label="${t('retryHead')}" data-outcomes="${RETRYABLE.join(' ')}" hidden></div>`;
  return html`${tableOf(page, 'failures', ['number', 'outcome', 'reply', 'example'], 'failuresNone')}${retry}`;
}

/** A table that scrolls by itself when the window is narrow; then it has to be reachable by keyboard. */
function tableOf(page: PageContext, id: string, columns: readonly Word[], none: Word): Markup {
  const t = (word: Word) => say(page.language, word);
  return html`<section><h2 id="${id}-head">${t(id as Word)}</h2>
<p class="quiet" id="${id}-none">${t(none)}</p>
<div class="wide" id="${id}" role="region" aria-labelledby="${id}-head" tabindex="0" hidden><table><thead><tr>${columns.map(
    (word) => html`<th scope="col">${t(word)}</th>`,
  )}</tr></thead><tbody></tbody></table></div></section>`;
}

function previewOf(page: PageContext): Markup {
  const t = (word: Word) => say(page.language, word);
  if (page.mask) {
    return html`<section aria-labelledby="preview-head"><h2 id="preview-head">${t('preview')}</h2><p class="quiet">${t('previewMasked')}</p></section>`;
  }
  return html`<section aria-labelledby="preview-head"><h2 id="preview-head">${t('preview')}</h2>
<form class="ask" id="preview"><label for="preview-as">${t('previewOf')}</label><div class="line"><input id="preview-as" name="as" type="text" inputmode="email" autocomplete="off" spellcheck="false" placeholder="${t('previewFirst')}"><button>${t('previewShow')}</button></div></form>
<div class="mail" id="mail" hidden><dl class="fields"><div><dt>${t('from')}</dt><dd data-slot="from"></dd></div><div><dt>${t('to')}</dt><dd data-slot="to"></dd></div><div><dt>${t('subject')}</dt><dd data-slot="subject"></dd></div></dl>
<div id="html-part"><h3>${t('htmlPart')}</h3><iframe sandbox="" title="${t('previewFrame')}" id="frame"></iframe></div>
<div id="text-part"><h3>${t('textPart')}</h3><pre tabindex="0" data-slot="text"></pre></div></div>
</section>`;
}

/** What happened to one address; the address itself stands behind the #, where no log sees it. */
export function searchPage(page: PageContext): Markup {
  const t = (word: Word) => say(page.language, word);
  return pageOf(page, {
    title: `${t('findButton')} · sendstate`,
    view: 'search',
    main: html`<nav class="path" aria-label="${t('campaigns')}"><a href="/">${t('campaigns')}</a></nav>
<h1 id="results-head">${t('find')}</h1>
<p class="quiet" id="hint">${t('searchHint')}</p>
<noscript><p>${t('noScript')}</p></noscript>
<div id="results" aria-live="polite"></div>`,
  });
}
