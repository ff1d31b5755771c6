import type { Command } from 'commander';
import { importPeople } from '../api/recipients.ts';
import type { ImportPreview, ImportProgress, ImportReport } from '../import/import.ts';
import { bar, count, printable } from '../report/format.ts';
import { type Context, withDatabase } from './context.ts';
import { pair } from './options.ts';
import { Painter } from './painter.ts';

interface ImportFlags {
  readonly encoding?: string;
  readonly delimiter?: string;
  readonly map?: Record<string, string>;
  readonly rejects?: string | false;
  readonly dryRun?: boolean;
}

const DELIMITERS: Readonly<Record<string, string>> = {
  ',': 'comma',
  ';': 'semicolon',
  '\t': 'tab',
  '|': 'bar',
};

function previewLine({ fileName, encoding, delimiter, addressColumn, variables }: ImportPreview): string {
  const vars = variables.length === 0 ? 'no variables' : `variables ${variables.join(', ')}`;
  return printable(
    `${fileName}: ${encoding}, ${DELIMITERS[delimiter] ?? delimiter}; addresses in "${addressColumn}"; ${vars}`,
  );
}

function progressLine({ bytesRead, bytesTotal, read }: ImportProgress): string {
  if (bytesTotal === null) return `${count(read)} rows`;
  const share = bytesTotal === 0 ? 1 : bytesRead / bytesTotal;
  return `${bar(share, 24)} ${String(Math.floor(share * 100)).padStart(3)}%  ${count(read)} rows`;
}

function reportLines(name: string, report: ImportReport): string[] {
  const { imported, duplicatesInFile, duplicatesInTable, invalid, rejectsFile, dryRun, seconds } = report;
  const dropped = [
    [duplicatesInFile, 'twice in the file'],
    [duplicatesInTable, 'in the campaign already'],
    [invalid, 'invalid'],
  ] as const;
  const not = dropped.filter(([n]) => n > 0).map(([n, why]) => `${count(n)} ${why}`);
  const lines = [
    `${dryRun ? 'Would import' : 'Imported'} ${count(imported)} of ${count(report.read)} rows into ${name} in ${seconds.toFixed(1)} s.`,
  ];
  if (not.length > 0)
    lines.push(`Not taken: ${not.join(', ')}.${rejectsFile === null ? '' : ` See ${rejectsFile}`}`);
  if (report.reopened)
    lines.push(`${name} had finished; the new people wait. Send them: sendstate send ${name}`);
  else if (!dryRun && imported > 0)
    lines.push(`Next: sendstate preview ${name}, then sendstate send ${name}`);
  return lines;
}

async function runImport(context: Context, name: string, file: string, flags: ImportFlags): Promise<void> {
  const painter = new Painter(context);
  const report = await withDatabase(context, async (app) => {
    try {
      return await importPeople(app, name, {
        from: file === '-' ? (process.stdin as AsyncIterable<Buffer>) : file,
        fileName: file === '-' ? 'stdin.csv' : file,
        ...(flags.rejects === undefined ? {} : { rejects: flags.rejects === false ? null : flags.rejects }),
        encoding: flags.encoding,
        delimiter: flags.delimiter === '\\t' ? '\t' : flags.delimiter,
        map: flags.map,
        dryRun: flags.dryRun,
        signal: context.signal,
        onPreview: (preview) => painter.say(previewLine(preview)),
        onProgress: (progress) => painter.paint(progressLine(progress)),
        onWaiting: () => painter.say(`Another import into ${name} is running; waiting for it to end.`),
      });
    } finally {
      painter.clear();
    }
  });
  if (context.json) context.out(JSON.stringify(report));
  else for (const line of reportLines(name, report)) context.out(line);
}

/** `import NAME FILE` */
export function registerImport(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('import')
    .description('stream people into a campaign; all of the file or, after an error, nothing')
    .argument('<name>', 'the campaign')
    .argument('<file>', 'a CSV; - for standard input')
    .option('--encoding <name>', 'utf-8, cp949, utf-16le … (default: UTF-8 if it is valid, else CP949)')
    .option('--delimiter <character>', ', ; | or \\t (default: found)')
    .option('--map <name=column>', 'email=COLUMN says where the address is; several times', pair('='))
    .option(
      '--rejects <file>',
      'where rows go that are not taken (default: beside the file, people.rejects.csv for people.csv)',
    )
    .option('--no-rejects', 'do not write them anywhere')
    .option('--dry-run', 'do everything and take it back')
    .option('--json', 'print one JSON object')
    .action((name: string, file: string, flags: ImportFlags, command: Command) =>
      runImport(contextOf(command), name, file, flags),
    );
}
