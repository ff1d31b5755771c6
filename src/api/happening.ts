import { type Progress, readProgress } from '../report/progress.ts';
import type { Opened } from './open.ts';

/** How a campaign stands, with a word that changes whenever its row does: who reads it twice knows that it is the same. */
export interface Standing {
  readonly progress: Progress;
  /** The transaction that wrote the row: the pause, the end. */
  readonly version: string;
}

/** Undefined: it was deleted. */
export async function standing({ database }: Opened, name: string): Promise<Standing | undefined> {
  const { rows } = await database.pool.query<{ version: string }>(
    'select xmin::text as version from campaign where name = $1',
    [name],
  );
  const [progress] = await readProgress(database, name);
  const version = rows[0]?.version;
  return progress === undefined || version === undefined ? undefined : { progress, version };
}
