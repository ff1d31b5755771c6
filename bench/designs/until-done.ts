import { setTimeout as wait } from 'node:timers/promises';
import type { Consuming } from '../contract.ts';

/** How often is looked, milliseconds; the broker is asked only when nothing has been answered since the last look. */
const LOOK_MS = 100;
/** The same once every person is finished here, and only the last results are on their way to the broker, milliseconds. */
const LAST_LOOK_MS = 10;
/** Looks that the broker may fail to answer in a row: it may be restarted just then. */
const FAILURES = 300;

/**
 * Waits until a consumer has nothing more to do: it has finished all people by itself or none has been answered for a while,
 * and the broker says that no person is left, which is when all is settled; or the signal.
 */
export async function untilDone(
  people: number,
  finished: () => number,
  nobodyLeft: () => Promise<boolean>,
  { signal, settled }: Pick<Consuming, 'signal' | 'settled'>,
): Promise<void> {
  let before = -1;
  let failures = 0;
  while (!signal.aborted) {
    const count = finished();
    if (count === before || count >= people) {
      try {
        if (await nobodyLeft()) {
          settled?.();
          return;
        }
        failures = 0;
      } catch (error) {
        if (++failures > FAILURES) throw error;
      }
    }
    before = count;
    await wait(count >= people ? LAST_LOOK_MS : LOOK_MS);
  }
}
