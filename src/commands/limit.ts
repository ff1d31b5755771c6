import type { Command } from 'commander';
import { history, limits, removeLimit, setLimit } from '../api/limits.ts';
import { SendstateError } from '../errors.ts';
import type { DomainLimit } from '../queue/domain-limit.ts';
import { duration, printable } from '../report/format.ts';
import type { RecipientHistory } from '../report/history.ts';
import { type Context, withDatabase } from './context.ts';
import { rate } from './options.ts';

/** 20 → "20/s", 0.5 → "30/min", 0.01 → "36/h": the largest unit in which it is a number that people read. */
function rateWords(perSecond: number): string {
  const [value, unit] =
    perSecond >= 1
      ? [perSecond, 's']
      : perSecond >= 1 / 60
        ? [perSecond * 60, 'min']
        : [perSecond * 3600, 'h'];
  return `${Number(value.toPrecision(4))}/${unit}`;
}

function limitLine({ domain, rate: perSecond, queuedUntil }: DomainLimit): string {
  const seconds = queuedUntil === null ? 0 : (queuedUntil.getTime() - Date.now()) / 1000;
  const queue = seconds > 0 ? `, the last in its queue gets the turn in ${duration(seconds)}` : '';
  return `${domain}  ${rateWords(perSecond)}${queue}`;
}

async function show(context: Context, found: readonly DomainLimit[]): Promise<void> {
  if (context.json) context.out(JSON.stringify(found));
  else if (found.length === 0) context.out('No domain is limited. Limit one: sendstate limit naver.com 20/s');
  else for (const limit of found) context.out(limitLine(limit));
}

async function runLimit(context: Context, domain?: string, perSecond?: number | 'none'): Promise<void> {
  await withDatabase(context, async (app) => {
    if (domain === undefined) return show(context, await limits(app));
    if (perSecond === undefined) {
      const own = (await limits(app)).filter((limit) => limit.domain === domain.toLowerCase());
      if (own.length > 0) return show(context, own);
      throw new SendstateError('limit-unknown', `${domain} has no limit of its own`, {
        hint: `Set one: sendstate limit ${domain} 20/s`,
      });
    }
    if (perSecond === 'none') {
      const removed = await removeLimit(app, domain);
      if (context.json) context.out(JSON.stringify({ domain, removed }));
      else context.out(removed ? `${domain} has no limit of its own any more.` : `${domain} had none.`);
      return;
    }
    const name = await setLimit(app, domain, perSecond);
    if (context.json) context.out(JSON.stringify({ domain: name, rate: perSecond }));
    else context.out(`${name} gets ${rateWords(perSecond)} at most, over all workers and campaigns.`);
  });
}

const time = (at: Date) => at.toISOString().replace('T', ' ').slice(0, 19);

function standing(one: RecipientHistory): string {
  if (one.sendState === 1) return 'claimed, in the hands of a worker';
  if (one.outcome === null) return one.retryAt === null ? 'waiting' : `waiting until ${time(one.retryAt)}`;
  return `${one.outcome}${one.doneAt === null ? '' : ` at ${time(one.doneAt)}`}`;
}

function historyLines(one: RecipientHistory): string[] {
  const { claim } = one;
  const words = [one.replyCode, one.reply].filter((part) => part !== null).join(' ');
  const lines = [
    `${one.campaign} (${one.status}): ${one.address} ${standing(one)}${words === '' ? '' : `: ${words}`}`,
    `  attempts charged: ${one.attempts}; handed over without a reply: ${one.maybeSent}`,
  ];
  if (claim !== null) {
    const who =
      claim.host === null
        ? `worker ${claim.workerId}`
        : `worker ${claim.workerId} (${claim.host}, process ${claim.pid})`;
    const mark = claim.withinMark ? 'within' : 'beyond';
    lines.push(
      `  claim ${claim.claimId} of ${who} at ${time(claim.claimedAt)}, ${mark} the handed-over mark${claim.rescued ? ', rescued' : ''}`,
    );
  }
  for (const { at, event, replyCode, reply, relay } of one.events) {
    const said = [replyCode, reply].filter((part) => part !== null).join(' ');
    const by = relay === null ? '' : ` (${relay})`;
    lines.push(`  ${time(at)}  ${event}${by}${said === '' ? '' : `: ${said}`}`);
  }
  return lines;
}

async function runHistory(context: Context, address: string): Promise<void> {
  const found = await withDatabase(context, (app) => history(app, address));
  if (context.json) context.out(JSON.stringify(found));
  else if (found.length === 0) context.out(printable(`${address} is in no campaign.`));
  else for (const line of found.flatMap(historyLines)) context.out(printable(line));
}

/** `limit [DOMAIN] [RATE]`, `history ADDRESS` */
export function registerLimit(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('limit')
    .description('how many mails a recipient domain gets at most; without arguments: the limits')
    .argument('[domain]', 'naver.com, or * for every domain without a limit of its own')
    .argument(
      '[rate]',
      'over all workers and campaigns, e.g. 20/s, 600/min, 5000/h; none: no limit',
      rateOrNone,
    )
    .option('--json', 'print JSON')
    .action(
      (domain: string | undefined, perSecond: number | 'none' | undefined, _: object, command: Command) =>
        runLimit(contextOf(command), domain, perSecond),
    );
  program
    .command('history')
    .description('everything that happened to one address, in every campaign')
    .argument('<address>', 'kim@example.com, in any case')
    .option('--json', 'print JSON')
    .action((address: string, _: object, command: Command) => runHistory(contextOf(command), address));
}

function rateOrNone(text: string): number | 'none' {
  return text === 'none' ? 'none' : rate(text);
}
