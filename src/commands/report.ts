import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { stringify } from 'csv-stringify/sync';
import { type Report, report } from '../api/report.ts';
import { messageOf, SendstateError } from '../errors.ts';
import { safeCell } from '../import/formula.ts';
import { printable } from '../report/format.ts';
import { reportHtml } from '../report/report-html.ts';
import { reportMarkdown, reportRows } from '../report/report-text.ts';
import { type Context, withDatabase } from './context.ts';
import { legible, legibleJson, writeOut } from './terminal.ts';

/** Each as a file holds it, and harmless where a terminal shows it: stdout gets the same bytes as `--out`. */
const FORMATS = {
  html: (found: Report) => legible(reportHtml(found)),
  md: (found: Report) => legible(reportMarkdown(found)),
  json: (found: Report) => `${legibleJson(JSON.stringify(found, null, 2))}\n`,
  csv: (found: Report) => stringify(legibleRows(found), { bom: true, record_delimiter: '\r\n' }),
};
/** Before they become CSV, whose line ends a terminal may have. */
function legibleRows(found: Report): ReturnType<typeof reportRows> {
  return reportRows(found).map((row) =>
    row.map((cell) => (typeof cell === 'string' ? safeCell(printable(cell)) : cell)),
  );
}

type Format = keyof typeof FORMATS;

async function runReport(
  context: Context,
  name: string,
  flags: { readonly format: Format; readonly out?: string; readonly mask?: boolean },
): Promise<void> {
  const format = context.json ? 'json' : flags.format;
  const text = FORMATS[format](await withDatabase(context, (app) => report(app, name, { mask: flags.mask })));
  if (flags.out === undefined) {
    await writeOut(text);
    return;
  }
  try {
    await writeFile(flags.out, text);
  } catch (error) {
    throw new SendstateError('report-file', `Cannot write ${flags.out}: ${messageOf(error)}`, {
      hint: 'Name a file that you may write with --out, or leave --out away and redirect the output.',
      cause: error,
    });
  }
  context.err(`Wrote ${flags.out}.`);
}

/** `report NAME` */
export function registerReport(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('report')
    .description('a summary to keep or to send on: totals, timeline, failures by reason and by domain')
    .argument('<name>', 'the campaign')
    .addOption(
      new Option('--format <format>', 'html (one file with nothing to load), md, json or csv')
        .choices(Object.keys(FORMATS))
        .default('html'),
    )
    .option('--json', 'the same as --format json')
    .option('--out <file>', 'where to write it (default: standard output)')
    .option('--mask', 'show addresses as k…@example.com')
    .action((name: string, flags: { format: Format; out?: string; mask?: boolean }, command: Command) =>
      runReport(contextOf(command), name, flags),
    );
}
