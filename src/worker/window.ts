/** The claims of one campaign, as its neighbours in the process see them. */
export interface Sharer {
  /** Recipients within a mark that is durable or may be, and without a durable result. */
  readonly inDoubt: number;
  /** Whether it has claims at all. */
  readonly active: boolean;
  /** Whether no recipient is in doubt and none can be handed over before a mark moves. */
  readonly starved: boolean;
}

/**
 * How many recipients one process may leave in doubt when it dies, over all campaigns that it works on at once.
 *
 * Each active campaign has an equal share, at least one recipient; what one uses beyond its share, because it was alone
 * until now, it gives back by its next results. Where there are more campaigns than places, the one that has a place leaves the
 * next free one to those who have none.
 */
export class SharedWindow {
  readonly size: number;
  readonly #sharers = new Map<Sharer, () => void>();

  /** @param size recipients (1…) */
  constructor(size: number) {
    this.size = size;
  }

  /** @param freed called when another sharer has given places back and `sharer` is starved */
  join(sharer: Sharer, freed: () => void): void {
    this.#sharers.set(sharer, freed);
  }

  leave(sharer: Sharer): void {
    this.#sharers.delete(sharer);
    this.freedBy(sharer);
  }

  /** How many more recipients `sharer` may put in doubt when it will have `own` in doubt; less than one: none. */
  spare(sharer: Sharer, own: number): number {
    let others = 0;
    let active = 1;
    let starved = 0;
    for (const other of this.#sharers.keys()) {
      if (other === sharer) continue;
      others += other.inDoubt;
      if (other.active) active++;
      if (other.starved) starved++;
    }
    const share = Math.max(Math.floor(this.size / active), 1);
    const left = this.size - others - own - (sharer.inDoubt > 0 ? starved : 0);
    return Math.min(share - own, left);
  }

  /** Places were given back: starved sharers look again. */
  freedBy(sharer: Sharer): void {
    for (const [other, freed] of this.#sharers) if (other !== sharer && other.starved) freed();
  }
}
