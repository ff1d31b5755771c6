/** Waits for a condition that is looked at whenever something happened; one waits at a time. */
export class Condition {
  #waiting: { holds: () => boolean; resolve: () => void } | null = null;

  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => {
      this.#waiting = { holds, resolve };
    });
  }

  /** Something happened. */
  signal(): void {
    const waiting = this.#waiting;
    if (waiting?.holds() !== true) return;
    this.#waiting = null;
    waiting.resolve();
  }
}

/** Sleeps until a ring; a ring without a sleeper is kept. */
export class Doorbell {
  #rang = false;
  #wakeUp: (() => void) | null = null;

  ring(): void {
    this.#rang = true;
    this.#wakeUp?.();
  }

  /** Until the bell rings, for at most `ms` milliseconds. */
  async wait(ms: number): Promise<void> {
    if (!this.#rang) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wakeUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wakeUp = null;
    }
    this.#rang = false;
  }
}
