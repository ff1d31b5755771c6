import { Histogram, type Registry } from 'prom-client';
import type { Durations } from '../worker/meter.ts';

/** A histogram whose numbers are counted elsewhere: it is asked at a scrape, and costs nothing in between. */
export class DurationHistogram extends Histogram<string> {
  readonly #name: string;
  readonly #help: string;
  readonly #durations: Durations;

  constructor(name: string, help: string, durations: Durations, registry: Registry) {
    super({ name, help, buckets: [...durations.bounds], registers: [registry] });
    this.#name = name;
    this.#help = help;
    this.#durations = durations;
  }

  /** What the registry asks: the buckets add up, as the text format wants them. */
  override get(): ReturnType<Histogram['get']> {
    const { bounds, counts, sum } = this.#durations;
    let within = 0;
    const buckets = [...counts].map((count, at) => {
      within += count;
      return { metricName: `${this.#name}_bucket`, labels: { le: bounds[at] ?? '+Inf' }, value: within };
    });
    const values = [
      ...buckets,
      { metricName: `${this.#name}_sum`, labels: {}, value: sum },
      { metricName: `${this.#name}_count`, labels: {}, value: within },
    ];
    const told = { name: this.#name, help: this.#help, type: 'histogram', aggregator: 'sum', values };
    // Its type is an enum that exists in the types of prom-client only; at run time it is this word.
    return Promise.resolve(told as unknown as Awaited<ReturnType<Histogram['get']>>);
  }
}
// The registry of prom-client 15 prefers this method, which its types do not know, to `get`.
Object.defineProperty(DurationHistogram.prototype, 'getForPromString', { value: undefined });
