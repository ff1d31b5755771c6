import { ALL_GUARDS, counted, type Guards } from './table.ts';
import { begin, keyOf, type Scope, steps, type World } from './world.ts';

/** What a whole search found. */
export interface Found {
  readonly states: number;
  readonly steps: number;
  /** The first promise that was broken, by the shortest way there; null: none. */
  readonly broken: { readonly promise: string; readonly way: readonly string[] } | null;
}

/** What must be true in every state. The first that is not. */
export function brokenIn({ table, mails }: World): string | null {
  const truth = counted(table.rows);
  if (JSON.stringify(truth) !== JSON.stringify(table.counters))
    return 'the counters are not what counting gives';
  for (const [index, row] of table.rows.entries()) {
    const copies = mails[index] as number;
    if (copies > 1 + row.maybeSent) return 'a second mail whose row does not say so';
    if (row.outcome === 'sent' && copies === 0) return 'lost: the row says sent and the relay took nothing';
    if (row.state === 2 && row.outcome !== 'sent' && row.maybeSent === 0 && copies > 0) {
      return 'the row says not sent and the relay took it';
    }
    if (table.onUnconfirmed === 'hold' && copies > 1) return 'a second mail although the campaign holds';
    if (table.finished && row.state !== 2) return 'finished while somebody is not done';
    if (row.state === 1 && table.claims[row.claim]?.open !== true)
      return 'a claimed row without an open claim';
  }
  return null;
}

const atItsEnd = ({ table }: World) => table.finished;

/**
 * Every state that can be reached, breadth first, so that the way to the first broken promise is a shortest one. Then,
 * backwards from the ends: from every state the campaign can still be finished, or somebody is lost.
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
