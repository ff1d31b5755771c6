import { existsSync, readFileSync } from 'node:fs';
import type { App } from '../src/api/sendstate.ts';

/** Processes whose CPU time is read: the server's postmaster and the sink; null where the operating system does not tell. */
export interface Watched {
  readonly postgres: number | null;
  readonly sink: number | null;
}

/** CPU seconds since the start of each process. */
export type CpuReading = { readonly [name in 'client' | keyof Watched]: number | null };

/** What /proc/PID/stat counts in: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly parent: number;
  readonly own: number;
  /** Of children that have ended and were waited for. */
  readonly ended: number;
}

function statOf(pid: number): Stat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    // Not Linux, or the process has just ended: there is nothing to read.
    return null;
  }
  // The name before it may hold spaces and brackets. Fields are counted from `state`, the third (proc(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const seconds = (at: number) => Number(fields[at]) / TICKS_PER_SECOND;
  return { parent: Number(fields[1]), own: seconds(11) + seconds(12), ended: seconds(13) + seconds(14) };
}

/** A process and everything that it has started: a Postgres server has a process a connection, which come and go. */
function treeSeconds(pid: number): number | null {
  const stat = statOf(pid);
  const list = `/proc/${pid}/task/${pid}/children`;
  if (stat === null || !existsSync(list)) return null;
  const children = readFileSync(list, 'latin1').split(' ').filter(Boolean).map(Number);
  return children.reduce((sum, child) => sum + (statOf(child)?.own ?? 0), stat.own + stat.ended);
}

/** CPU seconds of children of this process that have ended; null where it is unknown. */
export function endedChildrenSeconds(): number | null {
  return statOf(process.pid)?.ended ?? null;
}

export function readCpu(watched: Watched): CpuReading {
  const { user, system } = process.cpuUsage();
  return {
    client: (user + system) / 1e6,
    postgres: watched.postgres === null ? null : treeSeconds(watched.postgres),
    sink: watched.sink === null ? null : (statOf(watched.sink)?.own ?? null),
  };
}

export function cpuBetween(before: CpuReading, after: CpuReading): CpuReading {
  const spent = (name: keyof CpuReading) => {
    const [from, to] = [before[name], after[name]];
    return from === null || to === null ? null : to - from;
  };
  return { client: spent('client'), postgres: spent('postgres'), sink: spent('sink') };
}

/** The postmaster of a server on this machine; null when it is elsewhere (or in a container of its own). */
export async function postmasterOf({ database }: App): Promise<number | null> {
  const { rows } = await database.pool.query<{ pid: number }>('select pg_backend_pid() as pid');
  const pid = rows[0]?.pid ?? 0;
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('postgres')) return null;
  } catch {
    return null;
  }
  return statOf(pid)?.parent ?? null;
}
