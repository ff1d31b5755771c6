/**
 * Numbers that come in rising order and end in any order; knows up to where all have ended. Delivery tags of a RabbitMQ
 * channel, offsets of a Kafka partition.
 */
export class Contiguous {
  readonly #open = new Set<number>();
  #top: number;

  constructor(top: number) {
    this.#top = top;
  }

  /** False where this number, or a later one, has already begun: it was delivered again. */
  begin(number: number): boolean {
    if (number <= this.#top) return false;
    this.#top = number;
    this.#open.add(number);
    return true;
  }

  end(number: number): void {
    this.#open.delete(number);
  }

  /** Everything below has ended. A Set keeps the order of insertion: its first is its lowest. */
  get next(): number {
    const { value } = this.#open.values().next();
    return value ?? this.#top + 1;
  }

  get open(): number {
    return this.#open.size;
  }
}
