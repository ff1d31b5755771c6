import { writeSync } from 'node:fs';
import type { Place } from '../../bench/contract.ts';
import { loadDesign } from '../../bench/designs/index.ts';

/** A consumer to be killed. A line on standard output is a mail that has left: it is out before the answer is given. */
const { design, place, delayMs } = JSON.parse(process.argv[2] ?? '') as {
  design: string;
  place: Place;
  delayMs: number;
};
const { consume } = await loadDesign(design);
await consume(place, {
  capacity: 20,
  signal: new AbortController().signal,
  deliver: (person, done) => {
    setTimeout(
      () => {
        writeSync(1, `${person.address}\n`);
        done({ kind: 'sent', reply: '250 ok' });
      },
      // Not all at once: whenever it is killed, some are in the middle.
      delayMs * (0.5 + Math.random()),
    );
  },
});
