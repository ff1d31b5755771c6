import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../../src/database/connect.ts';
import { isTransient } from '../../src/database/prepare.ts';
import { look, type Monitor } from './monitor.ts';
import type { SinkProcess } from './process.ts';
import type { Stage } from './stage.ts';

/** When nothing has moved for so long it never will, milliseconds. The longest pause of a relay's breaker is 120 s. */
const STUCK_AFTER_MS = 150_000;
const LOOK_EVERY_MS = 100;

/** Resolves when every recipient of every campaign is done, whatever the campaigns say; returns what went wrong on the way. */
export async function untilFinished(
  monitors: readonly Monitor[],
  sink: SinkProcess,
  stage: Stage,
  say: (line: string) => void,
): Promise<string[]> {
  let moved = performance.now();
  let before = '';
  for (;;) {
    for (const monitor of monitors) monitor.check();
    const now = `${sink.accepted} ${monitors.map(({ latest }) => `${latest?.done}/${latest?.status}`)}`;
    if (now !== before) moved = performance.now();
    before = now;
    if (monitors.every(({ latest, people }) => latest?.status === 'finished' && latest.done === people))
      return [];
    for (const monitor of monitors.filter(({ latest }) => latest?.status === 'paused')) {
      const { name, latest } = monitor;
      if (latest?.reason?.includes('imported after it had finished') !== true)
        return [`${name} paused itself: ${latest?.reason}`];
      say(`${name}: every recipient was done when the last people came; started again`);
      await stage.start(name);
      await monitor.refresh();
    }
    if (performance.now() - moved > STUCK_AFTER_MS)
      return [`nothing has moved for ${STUCK_AFTER_MS / 1000} s: ${now}`];
    await wait(LOOK_EVERY_MS);
  }
}

/** A claim may be closed a moment after its last row; of a dead worker, by the next rescue. */
export async function untilClosed(
  database: Database,
  monitors: readonly Monitor[],
  leaseSeconds: number,
): Promise<void> {
  const end = performance.now() + (leaseSeconds + 2) * 1000;
  while (performance.now() < end) {
    try {
      const looks = await Promise.all(monitors.map(({ campaignId }) => look(database, campaignId)));
      if (looks.every(({ openClaims }) => openClaims === 0)) return;
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
    await wait(LOOK_EVERY_MS);
  }
}
