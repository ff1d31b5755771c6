import { ALL_GUARDS, type Guards } from './guards.ts';
import { brokenIn } from './invariants.ts';
import { keyOf } from './key.ts';
import { steps } from './steps.ts';
import { begin, type Scope, type World } from './world.ts';

/** What a whole search found. */
export interface Found {
  readonly states: number;
  readonly steps: number;
  /** The first promise that was broken, by the shortest way there; null: none. */
  readonly broken: { readonly promise: string; readonly way: readonly string[] } | null;
}

const atItsEnd = ({ table }: World) => table.status === 'finished';

/**
 * Every state that can be reached, breadth first, so that the way to the first broken promise is a shortest one. Then,
 * backwards from the ends: from every state the campaign can still be finished, or a recipient is lost.
 *
 * @throws when there are more than `most` states: then this is no proof
 */
export function explore(scope: Scope, guards: Guards = ALL_GUARDS, most = 2_000_000): Found {
  const first = begin(scope);
  const worlds: World[] = [first];
  const numbers = new Map<string, number>([[keyOf(first), 0]]);
  const parents: number[] = [-1];
  const causes: string[] = [''];
  const edges: number[] = [];
  const ends: number[] = [];
  const broke = (promise: string, at: number, what?: string): Found => ({
    states: worlds.length,
    steps: edges.length / 2,
    broken: { promise, way: [...wayTo(at, parents, causes), ...(what === undefined ? [] : [what])] },
  });
  for (let at = 0; at < worlds.length; at++) {
    const world = worlds[at] as World;
    // Only the front of the search is kept whole.
    worlds[at] = first;
    const promise = brokenIn(world);
    if (promise !== null) return broke(promise, at);
    if (atItsEnd(world)) ends.push(at);
    for (const { what, world: next, broken } of steps(world, scope, guards)) {
      if (broken !== undefined) return broke(broken, at, what);
      const key = keyOf(next);
      let to = numbers.get(key);
      if (to === undefined) {
        to = worlds.length;
        if (to >= most) throw new Error(`more than ${most} states: narrow the scope`);
        numbers.set(key, to);
        worlds.push(next);
        parents.push(at);
        causes.push(what);
      }
      edges.push(at, to);
    }
  }
  const stuck = firstWithoutEnd(worlds.length, edges, ends);
  if (stuck !== null) return broke('stuck: the campaign can never be finished from here', stuck);
  return { states: worlds.length, steps: edges.length / 2, broken: null };
}

function wayTo(at: number, parents: readonly number[], causes: readonly string[]): string[] {
  const way: string[] = [];
  for (let state = at; state > 0; state = parents[state] as number) way.unshift(causes[state] as string);
  return way;
}

/** The first state from which none of `ends` can be reached. Edges are pairs: from, to. */
function firstWithoutEnd(states: number, edges: readonly number[], ends: readonly number[]): number | null {
  const degree = new Uint32Array(states + 1);
  for (let edge = 1; edge < edges.length; edge += 2) bump(degree, (edges[edge] as number) + 1, 1);
  for (let state = 0; state < states; state++) bump(degree, state + 1, degree[state] as number);
  const offsets = degree.slice();
  const before = new Uint32Array(edges.length / 2);
  for (let edge = 0; edge < edges.length; edge += 2) {
    const to = edges[edge + 1] as number;
    before[offsets[to] as number] = edges[edge] as number;
    bump(offsets, to, 1);
  }
  const reaches = new Uint8Array(states);
  const waiting = [...ends];
  for (const end of ends) reaches[end] = 1;
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    for (let index = degree[state] as number; index < (degree[state + 1] as number); index++) {
      const from = before[index] as number;
      if (reaches[from] === 1) continue;
      reaches[from] = 1;
      waiting.push(from);
    }
  }
  const without = reaches.indexOf(0);
  return without < 0 ? null : without;
}

function bump(counts: Uint32Array, index: number, by: number): void {
  counts[index] = (counts[index] as number) + by;
}
