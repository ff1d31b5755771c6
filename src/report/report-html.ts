import { count } from './format.ts';
import type { Report } from './report.ts';
import { COLOURS, rateChart, shareChart } from './report-chart.ts';
import { facts, MEANING, outcomeParts } from './report-text.ts';

/** Text from outside in HTML. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': 'amp',
    '<': 'lt',
    '>': 'gt',
    '"': 'quot',
    "'": '#39',
  };
  return text.replace(/[&<>"']/g, (character) => `&${names[character]};`);
}

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
th { font-weight: 600; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { width: 100%; height: auto; }
.dot { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px; margin-right: 0.4em; }
footer { margin-top: 2rem; opacity: 0.7; font-size: 0.85rem; }
@media print { body { margin: 0; } }`;

type Cell = string | { readonly number: number };

function row(cells: readonly Cell[]): string {
  const html = cells.map((cell) =>
    typeof cell === 'string' ? `<td>${cell}</td>` : `<td class="n">${count(cell.number)}</td>`,
  );
  return `<tr>${html.join('')}</tr>`;
}

function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const titles = head.map((title) => `<th scope="col">${title}</th>`).join('');
  return `<table><thead><tr>${titles}</tr></thead><tbody>${rows.map(row).join('\n')}</tbody></table>`;
}

function section(title: string, body: string): string {
  return body === '' ? '' : `<section><h2>${title}</h2>${body}</section>`;
}

function failuresTable({ failures, otherFailures }: Report): string {
  if (failures.length === 0) return '';
  const rows: Cell[][] = failures.map(({ recipients, outcome, reason, example }) => [
    { number: recipients },
    outcome,
    escaped(reason),
    escaped(example ?? ''),
  ]);
  if (otherFailures > 0) rows.push([{ number: otherFailures }, '', 'other reasons', '']);
  return table(['recipients', 'outcome', 'reason', 'for example'], rows);
}

function domainsTable({ domains, otherDomains }: Report): string {
  if (domains.length === 0) return '';
  const rows = domains.map(({ domain, recipients, sent, failed, open }): Cell[] => [
    escaped(domain),
    { number: recipients },
    { number: sent },
    { number: failed },
    { number: open },
  ]);
  const more = otherDomains === 0 ? '' : `<p>and ${count(otherDomains)} more domains</p>`;
  return table(['domain', 'recipients', 'sent', 'failed', 'open'], rows) + more;
}

/** The report as one HTML file that needs nothing else: no script, no other file, nothing from the network. */
export function reportHtml(report: Report): string {
  const name = escaped(report.progress.name);
  const parts = outcomeParts(report);
  const outcomes = table(
    ['outcome', 'recipients', 'meaning'],
    parts.map(({ name: outcome, recipients }): Cell[] => [
      `<span class="dot" style="background:${COLOURS[outcome]}"></span>${outcome}`,
      { number: recipients },
      outcome === 'open' ? 'not done yet' : MEANING[outcome],
    ]),
  );
  const head = facts(report).map(
    ([what, value]) => `<tr><th scope="row">${what}</th><td>${escaped(value)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${name}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${name}</h1>
<table>${head.join('\n')}</table>
${section('Outcomes', parts.length === 0 ? '' : shareChart(parts) + outcomes)}
${section('Mails per second', rateChart(report.curve, report.curveSeconds))}
${section('Failures by reason', failuresTable(report))}
${section('By domain, most failures first', domainsTable(report))}
<footer>Read ${report.readAt.toISOString()}.</footer>
</body>
</html>
`;
}
