import { OUTCOMES, type Outcome } from '../model/states.ts';
import { count, duration } from './format.ts';
import type { Report } from './report.ts';

/** A line of facts: what, and how much. */
export type Fact = readonly [what: string, value: string];

const time = (date: Date) => `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
const share = (part: number, whole: number) =>
  whole === 0 ? '' : ` (${((part / whole) * 100).toFixed(part === whole ? 0 : 2)}%)`;

/** What each outcome says to a reader without the manual. */
export const MEANING: Readonly<Record<Outcome, string>> = {
  sent: 'the mail server accepted the mail',
  rejected: 'refused for good by the mail server',
  expired: 'deferred until attempts or time had run out',
  invalid: 'no mail could be made, or the address is none',
  unconfirmed: 'handed over, the answer never seen; not sent again',
  suppressed: 'taken out before sending',
  cancelled: 'still waiting when it was cancelled',
};

/** The outcomes that occur, with how many; `open` for those who are not done. */
export function outcomeParts({ progress }: Report): { name: Outcome | 'open'; recipients: number }[] {
  const open = progress.waiting + progress.claimed;
  return [
    ...OUTCOMES.map((name) => ({ name, recipients: progress.outcomes[name] })),
    { name: 'open' as const, recipients: open },
  ].filter(({ recipients }) => recipients > 0);
}

/** What stands at the top of a report. */
export function facts(report: Report): Fact[] {
  const { progress, seconds, perSecond, retriedRecipients, maybeSent } = report;
  const { status, statusReason, total, startedAt, finishedAt, outcomes } = progress;
  return [
    ['state', statusReason === null ? status : `${status}: ${statusReason}`],
    ['recipients', count(total)],
    ['accepted by the mail server', `${count(outcomes.sent)}${share(outcomes.sent, total)}`],
    ['started', startedAt === null ? 'not yet' : time(startedAt)],
    ['finished', finishedAt === null ? 'not yet' : time(finishedAt)],
    ['took', seconds === null ? 'nothing was sent yet' : duration(seconds)],
    ['mails per second', perSecond === null ? '–' : perSecond.toFixed(perSecond < 10 ? 2 : 0)],
    ['needed more than one attempt', count(retriedRecipients)],
    ['in doubt: may have got two mails, or one that does not count as sent', count(maybeSent)],
  ];
}

/** Text from outside in a Markdown table: one line, and nothing of it is markup. */
function cell(text: string): string {
  return text.replace(/[\r\n\t]+/g, ' ').replace(/[\\`*_{}[\]()#+!|<>~]/g, '\\$&');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''];
}

/** The report as Markdown. */
export function reportMarkdown(report: Report): string {
  const { progress, failures, otherFailures, domains, otherDomains } = report;
  const lines = [`# ${cell(progress.name)}`, ''];
  lines.push(
    ...table(
      ['', ''],
      facts(report).map(([what, value]) => [what, cell(value)]),
    ),
  );
  lines.push('## Outcomes', '');
  lines.push(
    ...table(
      ['outcome', 'recipients', 'meaning'],
      outcomeParts(report).map(({ name, recipients }) => [
        name,
        `${count(recipients)}${share(recipients, progress.total)}`,
        name === 'open' ? 'not done yet' : MEANING[name],
      ]),
    ),
  );
  if (failures.length > 0) {
    lines.push('## Failures by reason', '');
    const rows = failures.map(({ outcome, reason, recipients, example }) => [
      count(recipients),
      outcome,
      cell(reason),
      cell(example ?? ''),
    ]);
    if (otherFailures > 0) rows.push([count(otherFailures), '', 'other reasons', '']);
    lines.push(...table(['recipients', 'outcome', 'reason', 'for example'], rows));
  }
  if (domains.length > 0) {
    lines.push('## By domain, most failures first', '');
    lines.push(
      ...table(
        ['domain', 'recipients', 'sent', 'failed', 'open'],
        domains.map((one) => [
          cell(one.domain),
          count(one.recipients),
          count(one.sent),
          count(one.failed),
          count(one.open),
        ]),
      ),
    );
    if (otherDomains > 0) lines.push(`and ${count(otherDomains)} more domains`, '');
  }
  lines.push(...timelineLines(report));
  lines.push(`Read ${time(report.readAt)}.`);
  return `${lines.join('\n')}\n`;
}

/** Rows of the timeline in Markdown at most: a person reads them. */
const MOST_SPANS = 24;

function timelineLines({ curve, curveSeconds }: Report): string[] {
  const [first] = curve;
  const last = curve.at(-1);
  if (first === undefined || last === undefined) return [];
  const spans = (last.at.getTime() - first.at.getTime()) / 1000 / curveSeconds + 1;
  const seconds = curveSeconds * Math.ceil(spans / MOST_SPANS);
  const sums = new Map<number, number[]>();
  for (const { at, sent, failed, retried } of curve) {
    const begin = Math.floor((at.getTime() - first.at.getTime()) / 1000 / seconds) * seconds;
    const sum = sums.get(begin) ?? [0, 0, 0];
    sums.set(
      begin,
      [sent, failed, retried].map((n, i) => n + (sum[i] ?? 0)),
    );
  }
  const rows = [...sums].map(([begin, numbers]) => [
    time(new Date(first.at.getTime() + begin * 1000)),
    ...numbers.map(count),
  ]);
  return [
    `## Timeline, ${duration(seconds)} a row`,
    '',
    ...table(['from', 'sent', 'failed', 'retried'], rows),
  ];
}

/** The report as rows for a spreadsheet: section, name, detail, value. */
export function reportRows(report: Report): (string | number)[][] {
  const { progress, seconds, perSecond, retriedRecipients, maybeSent } = report;
  const { failures, otherFailures, domains, otherDomains, curve } = report;
  const summary: [string, string | number | null][] = [
    ['started', progress.startedAt?.toISOString() ?? null],
    ['finished', progress.finishedAt?.toISOString() ?? null],
    ['seconds', seconds],
    ['mails per second', perSecond],
    ['needed more than one attempt', retriedRecipients],
    ['in doubt', maybeSent],
    ['read', report.readAt.toISOString()],
  ];
  return [
    ['section', 'name', 'detail', 'value'],
    ['total', progress.name, progress.status, progress.total],
    ...summary.map(([name, value]) => ['summary', name, '', value ?? '']),
    ...outcomeParts(report).map(({ name, recipients }) => ['outcome', name, '', recipients]),
    ...failures.map(({ outcome, reason, recipients }) => ['reason', outcome, reason, recipients]),
    ...(otherFailures > 0 ? [['reason', '', 'other reasons', otherFailures]] : []),
    ...domains.flatMap(({ domain, ...numbers }) =>
      (['recipients', 'sent', 'failed', 'open'] as const).map((of) => ['domain', domain, of, numbers[of]]),
    ),
    ...(otherDomains > 0 ? [['domain', '', 'more domains', otherDomains]] : []),
    ...curve.flatMap(({ at, ...numbers }) =>
      (['sent', 'failed', 'retried'] as const).map((of) => ['timeline', at.toISOString(), of, numbers[of]]),
    ),
  ];
}
