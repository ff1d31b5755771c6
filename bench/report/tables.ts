import type { Raw } from '../raw.ts';
import type { Row } from './rows.ts';
import { oneLine, rounded, table } from './words.ts';

export function crashTable(rows: readonly Row[]): string {
  const cells = (run: Row['crash']['consumer']) =>
    run === null
      ? ['–', '–', '–', '–']
      : [
          String(run.lost),
          String(run.stuck),
          String(run.duplicated),
          run.recoverySeconds === null ? 'never' : rounded(run.recoverySeconds),
        ];
  const measured = rows.filter(({ crash }) => crash.consumer !== null || crash.broker !== null);
  if (measured.length === 0) return '';
  return table(
    [
      '',
      'consumer killed: lost',
      'stuck',
      'twice',
      'seconds',
      'broker killed: lost',
      'stuck',
      'twice',
      'seconds',
    ],
    measured.map((row) => [row.key, ...cells(row.crash.consumer), ...cells(row.crash.broker)]),
  );
}

export function tellTable(raw: Raw): string {
  if (raw.tell.length === 0) return 'Not asked in this run.';
  const cell = ({ yes, observed }: { yes: boolean; observed: string }) =>
    `${yes ? 'yes' : 'no'}: ${oneLine(observed)}`;
  return table(
    ['', 'progress', 'list of failures', 'stop one recipient', 'pause'],
    raw.tell.map((run) => [
      run.line,
      cell(run.progress),
      cell(run.failures),
      cell(run.stopOne),
      cell(run.pause),
    ]),
  );
}

export function failuresTable(raw: Raw): string {
  if (raw.failures.length === 0) return 'Not measured in this run.';
  return table(
    ['', 'people', 'seconds', 'lost', 'twice', 'refused for good', 'named as such'],
    raw.failures.map((run) => [
      run.line,
      rounded(run.people),
      rounded(run.enqueueSeconds + run.drainSeconds),
      String(run.seen.lost),
      String(run.seen.duplicated),
      String(run.refusedForGood),
      run.deadLetters === null ? 'cannot' : String(run.deadLetters),
    ]),
  );
}

const REPUBLISHED = {
  once: 'no person gets a second mail (none had been sent to yet)',
  again: 'whom the first had published gets a second mail',
  loses: 'whom the first had published gets a second mail, and others may get none',
} as const;

export function promises(rows: readonly Row[]): string {
  const once = rows.filter((row, at) => rows.findIndex(({ design }) => design === row.design) === at);
  return table(
    ['', 'promises', 'when every person is published again after a killed publisher', 'cannot tell'],
    once.map(({ design, guarantees, cannotTell, afterPublisherKilled }) => [
      design,
      oneLine(guarantees),
      afterPublisherKilled === null ? '–' : REPUBLISHED[afterPublisherKilled],
      oneLine(cannotTell),
    ]),
  );
}
