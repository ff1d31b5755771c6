import type { App } from '../api/sendstate.ts';
import { campaigns, status } from '../api/status.ts';
import { isTransient } from '../database/problems.ts';
import { messageOf } from '../errors.ts';
import { printable } from '../report/format.ts';
import type { Progress } from '../report/progress.ts';
import { overviewLines, watchLines } from '../report/progress-bar.ts';
import type { Context } from './context.ts';
import { useColour } from './terminal.ts';

/** How often `--watch` looks, milliseconds. */
const WATCH_MS = 1_000;

/** Cursor home; erase to the end of the line; erase what is below (ECMA-48). */
const HOME = '\u001b[H';
const TO_END_OF_LINE = '\u001b[K';
const BELOW = '\u001b[J';

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

/** One look a second as a screen on a terminal, else the lines that `status` prints whenever they have changed. */
export async function watch(
  context: Context,
  app: App,
  name: string | undefined,
  show: (print: (line: string) => void) => Promise<Progress[]>,
): Promise<void> {
  const view = !context.json && process.stdout.isTTY === true ? screen(app, name) : printer(context, show);
  let lost = false;
  while (!context.signal.aborted) {
    try {
      const seen = await view();
      lost = false;
      if (name !== undefined && seen.every(over)) return;
    } catch (error) {
      // A failover is what one watches for; whatever else went wrong would go wrong again.
      if (!isTransient(error)) throw error;
      if (!lost) context.err(printable(`${messageOf(error)}. What is shown is from before; looking again.`));
      lost = true;
    }
    await pause(context.signal);
  }
}

const over = ({ status }: Progress) => status === 'finished' || status === 'cancelled';

async function pause(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, WATCH_MS);
    signal.addEventListener('abort', done);
  });
}

/** Draws over what is there, line by line, so that nothing flickers. */
function screen(app: App, name: string | undefined): () => Promise<Progress[]> {
  const rates = new Rates();
  return async () => {
    // A terminal that does not know its size says 0.
    const [columns, rows] = [process.stdout.columns || 80, process.stdout.rows || 24];
    const options = { columns, rows: rows - 1, colour: useColour(), now: Date.now(), rates: rates.values };
    if (name === undefined) {
      const all = await campaigns(app);
      paint(overviewLines(all, options));
      return all;
    }
    const found = await status(app, name);
    rates.add(found.progress.done, performance.now());
    paint(watchLines(found, options));
    return [found.progress];
  };
}

function paint(lines: readonly string[]): void {
  process.stdout.write(`${HOME}${lines.map((line) => `${line}${TO_END_OF_LINE}\n`).join('')}${BELOW}`);
}

/** Without a screen: what has changed, with the time before it, so that the end of one look is seen. */
function printer(
  context: Context,
  show: (print: (line: string) => void) => Promise<Progress[]>,
): () => Promise<Progress[]> {
  let before = '';
  return async () => {
    const lines: string[] = [];
    const seen = await show((line) => lines.push(line));
    const now = lines.join('\n');
    if (now === before) return seen;
    before = now;
    if (!context.json) context.out(new Date().toISOString());
    for (const line of lines) context.out(line);
    return seen;
  };
}
