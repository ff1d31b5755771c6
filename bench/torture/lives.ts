import type { Case } from './verify.ts';

const BURIED = `
select w.pid, extract(epoch from w.heartbeat_at)::float8 * 1000 as beat, extract(epoch from w.stopped_at)::float8 * 1000 as buried
from worker w where w.presumed_dead`;

/**
 * A worker without a fault injected may be presumed dead on a machine that gives it no time for a whole lease: that is a death like
 * a frozen one, and counted as one. It is none, and a broken promise, when it was only the database that was away.
 */
export async function countStarved(
  { lives, database, absences, leaseSeconds, say }: Case,
  broken: string[],
): Promise<void> {
  const { rows } = await database.pool.query<{ pid: number; beat: number; buried: number }>(BURIED);
  for (const { pid, beat, buried } of rows) {
    const life = lives.find((one) => one.pid === pid);
    if (life === undefined) continue;
    // Before its death it did beat; a burial belongs to the death that came before it.
    if (life.deaths.some(({ at }) => at <= buried && at >= beat - leaseSeconds * 1000)) continue;
    // Since the database came back every worker has a whole lease again.
    const steady = Math.max(beat, ...absences.filter(({ to }) => to <= buried).map(({ to }) => to));
    const silent = ((buried - steady) / 1000).toFixed(2);
    if (buried - steady < leaseSeconds * 1000)
      broken.push(`${life.name} was presumed dead after ${silent} s in which it could have beaten`);
    else {
      life.deaths.push({ at: beat, until: buried });
      say(`${life.name} got no time from this machine for ${silent} s and was presumed dead`);
    }
  }
}

const WORKED = `
select exists (select from worker w join claim c on c.worker_id = w.worker_id where w.pid = $1) as worked`;

/** A worker outlives every fault but its own death; one that loses its database while it starts may say so and end. */
export async function worked({ lives, database }: Case, broken: string[]): Promise<void> {
  for (const { name, pid, unbidden } of lives) {
    if (unbidden === null) continue;
    const { rows } = await database.pool.query<{ worked: boolean }>(WORKED, [pid]);
    if (rows[0]?.worked === true) broken.push(`${name} ended by itself: ${unbidden}`);
  }
}
