import { playWithin } from './campaign-run.ts';
import { databaseUrl, withClient } from './designs/database.ts';
import { dispatch, fillCampaign } from './dispatch-table.ts';
import type { RoleJob } from './role.ts';
import { median } from './server.ts';
import type { Line, Stage } from './stage.ts';

/** A way to measure the same statements, and what it found. */
export interface Way {
  readonly name: string;
  readonly rowsPerSecond: number;
}

/** Clients and rows of a claim, as everywhere. */
const CLIENTS = 2;
const BATCH = 500;

/**
 * The table's 0→1→2 by each of the ways in which this repository measures it, in turn on one server: why do two commands have two
 * figures? Medians of so many rounds, behind one that is discarded.
 */
export async function compareWays(
  stage: Stage,
  line: Line,
  people: number,
  rounds: number,
  patienceMs: number,
): Promise<readonly Way[]> {
  const ways: Readonly<Record<string, () => Promise<number>>> = {
    'as the queue alone: just imported, in a new process': () =>
      imported(stage, line, people, patienceMs, false),
    'the same, vacuumed before': () => imported(stage, line, people, patienceMs, true),
    'as bench:dispatch: other rows, vacuumed, in a process that has done it before': () =>
      filled(stage, line, people),
  };
  const found = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++)
    for (const [name, run] of Object.entries(ways)) {
      const rate = await run();
      if (round > 0) found.set(name, [...(found.get(name) ?? []), rate]);
    }
  return [...found].map(([name, rates]) => ({ name, rowsPerSecond: median(rates) }));
}

async function imported(
  stage: Stage,
  line: Line,
  people: number,
  patienceMs: number,
  vacuum: boolean,
): Promise<number> {
  const { design } = line;
  const { place } = await stage.set(line, people);
  const job = (role: RoleJob['role']): RoleJob => ({ role, design: design.name, place, relay: null });
  await design.prepare(place);
  try {
    await playWithin(patienceMs, job('publish'));
    if (vacuum) await withClient(place, (client) => client.query('vacuum (analyze) recipient'));
    const { settledAt, startedAt } = await playWithin(patienceMs, job('consume'));
    if (settledAt === null) throw new Error(`${line.key} never said that everything is settled`);
    return (people * 1_000) / (settledAt - startedAt);
  } finally {
    await design.dispose(place);
  }
}

async function filled(stage: Stage, line: Line, people: number): Promise<number> {
  const { place } = await stage.set(line, people);
  await line.design.prepare(place);
  try {
    const url = databaseUrl(place);
    return (await dispatch(url, await fillCampaign(url, people), CLIENTS, BATCH)).rowsPerSecond;
  } finally {
    await line.design.dispose(place);
  }
}
