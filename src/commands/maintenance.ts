import type { Command } from 'commander';
import { type Diagnosis, doctor } from '../api/doctor.ts';
import { migrate } from '../api/open.ts';
import { SendstateError } from '../errors.ts';
import { printable } from '../report/format.ts';
import { deliveryWords } from '../smtp/deliverer.ts';
import { probeRelay, type RelayReport } from '../smtp/probe.ts';
import { type Context, relaysOf, withDatabase } from './context.ts';

function relayLines(report: RelayReport): string[] {
  if (!report.ok) {
    const { failure } = report;
    const words = deliveryWords(failure);
    return [`${report.relay} cannot be used: ${words}`];
  }
  const { tls, mechanism, offers } = report;
  return [
    `${report.relay}: ${report.greeting} (ready after ${report.readyMs} ms)`,
    tls === null
      ? 'not encrypted'
      : `${tls.protocol}, ${tls.cipher}, certificate ${tls.verified ? 'valid' : 'not checked'}`,
    mechanism === null ? 'not logged in' : `logged in with ${mechanism}`,
    `offers ${offers.keywords.join(', ') || 'nothing'}`,
    `mode ${report.mode}: ${report.why}`,
    ...report.advice,
  ];
}

/** A setting, or what is wrong with it: a search for faults shows all. */
function read<T extends object>(what: string, setting: () => T): T | Diagnosis {
  try {
    return setting();
  } catch (error) {
    if (!(error instanceof SendstateError)) throw error;
    return { what, ok: false, found: error.message, advice: error.hint ?? null };
  }
}

async function lookAtRelay(context: Context): Promise<void> {
  const relays = relaysOf(context);
  const signers = context.config.dkim;
  const reports = await Promise.all(
    relays.map(async (relay) => ({ label: relay.label, ...(await probeRelay(relay)) })),
  );
  // One relay is one object: programs that know of no others need not learn of them.
  if (context.json) context.out(JSON.stringify(reports.length === 1 ? reports[0] : reports));
  else {
    for (const report of reports) {
      if (reports.length > 1) context.out(printable(`== ${report.label}`));
      for (const line of relayLines(report)) context.out(printable(line));
    }
    for (const { domain, selector } of signers)
      context.out(printable(`mails from ${domain} are signed (DKIM, selector ${selector})`));
  }
  if (reports.some(({ ok }) => !ok)) context.fail();
}

/** `migrate`, `doctor` */
export function registerMaintenance(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('migrate')
    .description('bring the database to this version; safe to run from many places at once')
    .option('--json', 'print one JSON object')
    .action((_: object, command: Command) => {
      const context = contextOf(command);
      return withDatabase(
        context,
        async (app) => {
          const applied = await migrate(app);
          if (context.json) context.out(JSON.stringify({ applied }));
          else
            context.out(
              applied.length === 0 ? 'The database is up to date.' : `Applied ${applied.join(', ')}.`,
            );
        },
        { check: false, make: true },
      );
    });
  program
    .command('doctor')
    .description('look at database, tables, counters, claims and relay: what is wrong and what to do')
    .option('--relay', 'look at the relay alone: what it offers, how it is spoken to, and why')
    .option('--json', 'print one JSON object')
    .action((flags: { relay?: boolean }, command: Command) => {
      const context = contextOf(command);
      if (flags.relay === true) return lookAtRelay(context);
      return withDatabase(
        context,
        async (app) => {
          const relays = read('relay', () => context.config.relays);
          const keys = read('DKIM keys', () => context.config.dkim);
          const found = await doctor(app, 'ok' in relays ? null : relays);
          for (const setting of [relays, keys]) if ('ok' in setting) found.push(setting);
          if (context.json) context.out(JSON.stringify(found));
          else {
            for (const { what, ok, found: words, advice } of found) {
              context.out(printable(`${ok ? 'ok   ' : 'WRONG'} ${what}: ${words}`));
              if (advice !== null) context.out(printable(`      ${advice}`));
            }
          }
          if (found.some(({ ok }) => !ok)) context.fail();
        },
        { check: false },
      );
    });
}
