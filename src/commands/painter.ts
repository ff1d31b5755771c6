import type { Context } from './context.ts';

/** A line that replaces itself on a terminal, and an ordinary line now and then where there is no terminal. */
export class Painter {
  readonly #context: Context;
  readonly #quietMs: number;
  readonly #stream: NodeJS.WriteStream;
  #painted = false;
  #lastLine = 0;

  /** @param quietMs milliseconds between two lines where stderr is no terminal: a log is for reading later */
  constructor(context: Context, stream: NodeJS.WriteStream = process.stderr, quietMs = 10_000) {
    this.#context = context;
    this.#stream = stream;
    this.#quietMs = quietMs;
    this.#lastLine = performance.now();
  }

  paint(line: string): void {
    if (this.#context.isTty) {
      this.#stream.write(`\r\u001b[2K${line.slice(0, (this.#stream.columns || 80) - 1)}`);
      this.#painted = true;
    } else if (performance.now() - this.#lastLine >= this.#quietMs) {
      this.#lastLine = performance.now();
      this.#context.err(line);
    }
  }

  /** An ordinary line above the painted one. */
  say(line: string): void {
    this.clear();
    this.#context.err(line);
  }

  /** Leaves the painted line as it is and goes to the next. */
  end(): void {
    if (this.#painted) this.#stream.write('\n');
    this.#painted = false;
  }

  clear(): void {
    if (this.#painted) this.#stream.write('\r\u001b[2K');
    this.#painted = false;
  }
}
