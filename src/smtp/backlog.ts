/** A queue to which things can be given back at the front; taking costs the same however long it is. */
export class Backlog<T> {
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  putBack(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  take(): T | null {
    const item = this.#items[this.#head];
    if (item === undefined) return null;
    this.#head++;
    // What was taken is cut off now and then, so that it is neither kept nor copied again and again.
    if (this.#head === this.#items.length || this.#head >= 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  takeAll(): T[] {
    const rest = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return rest;
  }
}
