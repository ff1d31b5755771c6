import pg from 'pg';
import { messageOf, SendstateError } from '../errors.ts';

/** What a person can do about what Postgres said, by SQLSTATE (PostgreSQL manual, appendix A). */
const hints: Readonly<Record<string, string>> = {
  '53100': 'The disk of the database is full: make room and import again.',
  '53200': 'The database ran out of memory: see its log, then import again.',
  '25006': 'The database is read-only (a standby?): set DATABASE_URL to the primary.',
  '42501': 'The database user needs the rights to insert recipients and to create temporary tables.',
  '42P01': 'The tables are missing or old: sendstate migrate',
  '57P01': 'The database was restarted: import again.',
};

interface Circumstances {
  readonly fileName: string;
  /** The caller asked for it. */
  readonly stopped: boolean;
  /** People that were committed before it happened; null: none. */
  readonly imported: number | null;
}

/** Makes any failure of an import one error that names the file and says whether anything was imported. */
export function explainFailure(
  error: unknown,
  { fileName, stopped, imported }: Circumstances,
): SendstateError {
  if (imported !== null) {
    return new SendstateError(
      'rejects-file',
      `${fileName}: ${imported} people were imported, but the file of the rejected rows is not in place. ${messageOf(error)}`,
      { hint: 'It lies beside its place, with a name that ends in .partial.', cause: error },
    );
  }
  if (error instanceof CommitUnknown) {
    return new SendstateError(
      'import-unknown',
      `${fileName}: the database was lost in the moment of the commit (${messageOf(error.cause)}): all or nothing was imported.`,
      { hint: 'Import the same file again: it adds only people who are not there yet.', cause: error },
    );
  }
  if (stopped) {
    return new SendstateError(
      'import-stopped',
      `${fileName}: the import was stopped. Nothing was imported.`,
      {
        hint: 'Start it again when you are ready; it begins from the first row.',
        cause: error,
      },
    );
  }
  if (error instanceof SendstateError) {
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    return new SendstateError(error.code, `${error.message} Nothing was imported.`, {
      ...hint,
      cause: error,
    });
  }
  const code = error instanceof pg.DatabaseError ? error.code : undefined;
  return new SendstateError(
    'import-failed',
    `${fileName}: the import failed: ${messageOf(error)}. Nothing was imported.`,
    {
      hint: hints[code ?? ''] ?? 'Import again; sendstate doctor tells whether the database is well.',
      cause: error,
    },
  );
}

/** The connection broke after COMMIT left and before its answer came. */
export class CommitUnknown extends Error {
  constructor(cause: unknown) {
    super('the answer to the commit was never seen', { cause });
    this.name = 'CommitUnknown';
  }
}
