import { type Progress, type Sendstate, status } from '../index.ts';
import { watchLines } from '../progress/watch.ts';
import type { Context } from './context.ts';
import { useColour } from './terminal.ts';

/** How often `--watch` looks, milliseconds. */
const WATCH_MS = 1_000;

/** Cursor home, erase the screen (ECMA-48). */
const CLEAR = '\u001b[H\u001b[2J';

/** Looks that the curve keeps: more columns than a terminal has. */
const MOST_RATES = 300;

/** Recipients done per second from one look to the next. */
class Rates {
  readonly values: number[] = [];
  #done: number | null = null;
  #at = 0;

  add(done: number, now: number): void {
    if (this.#done !== null && now > this.#at) {
      // After a retry fewer are done than before.
      this.values.push(Math.max(((done - this.#done) / (now - this.#at)) * 1000, 0));
      if (this.values.length > MOST_RATES) this.values.shift();
    }
    this.#done = done;
    this.#at = now;
  }
}

/** One look a second as a screen on a terminal, else as the lines that `status` prints. @param show prints these */
export async function watch(
  context: Context,
  app: Sendstate,
  name: string | undefined,
  show: () => Promise<Progress[]>,
): Promise<void> {
  const rates = new Rates();
  while (!context.signal.aborted) {
    const ended = await lookOnce(context, app, name, rates, show);
    if (ended) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        context.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, WATCH_MS);
      context.signal.addEventListener('abort', done);
    });
  }
}

/** @returns whether there is nothing more to come */
async function lookOnce(
  context: Context,
  app: Sendstate,
  name: string | undefined,
  rates: Rates,
  show: () => Promise<Progress[]>,
): Promise<boolean> {
  const over = ({ status }: Progress) => status === 'finished' || status === 'cancelled';
  const screen = !context.json && process.stdout.isTTY === true;
  if (name === undefined || !screen) {
    if (screen) process.stdout.write(CLEAR);
    const shown = await show();
    return name !== undefined && shown.every(over);
  }
  const found = await status(app, name);
  rates.add(found.progress.done, performance.now());
  const { columns, rows } = process.stdout;
  const options = { columns, rows: rows - 1, colour: useColour(), now: Date.now(), rates: rates.values };
  process.stdout.write(`${CLEAR}${watchLines(found, options).join('\n')}\n`);
  return over(found.progress);
}
