import { type Profiler, Session } from 'node:inspector/promises';
import path from 'node:path';

/** A function, or what V8 names instead of one, and its own share of the time (what it calls not included). */
export interface Share {
  readonly name: string;
  readonly share: number;
}

const TOP = 12;

/** Runs something in this process and says where its time went, the largest shares first. */
export async function profiled(work: () => Promise<void>): Promise<readonly Share[]> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  await work();
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  return sharesOf(profile);
}

/** By function and file; `(idle)` is waiting for Postgres, `(garbage collector)` and `(program)` are V8's and the kernel's. */
export function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): readonly Share[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const sums = new Map<string, number>();
  let total = 0;
  for (const [at, id] of samples.entries()) {
    const name = names.get(id) ?? '?';
    const time = timeDeltas[at] ?? 0;
    total += time;
    sums.set(name, (sums.get(name) ?? 0) + time);
  }
  return [...sums]
    .map(([name, time]) => ({ name, share: total === 0 ? 0 : time / total }))
    .sort((a, b) => b.share - a.share)
    .slice(0, TOP);
}

function nameOf({ functionName, url }: Profiler.Profile['nodes'][number]['callFrame']): string {
  const file = url.startsWith('node:') ? url : path.basename(url);
  const name = functionName === '' ? 'anonymous' : functionName;
  return file === '' ? name : `${name} (${file})`;
}
