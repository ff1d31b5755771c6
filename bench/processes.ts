import { existsSync, readFileSync } from 'node:fs';

/** What processes have used since they started, themselves and those of their children that have ended. */
export interface Used {
  readonly cpuSeconds: number;
  /** Bytes that they caused to be written to storage (`write_bytes` of proc(5)); null where it is unknown. */
  readonly writtenBytes: number | null;
}

/** What /proc/PID/stat counts in: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    // Not Linux, not ours, or the process has just ended: there is nothing to read.
    return null;
  }
}

function cpuOf(pid: number): number {
  const stat = textOf(`/proc/${pid}/stat`);
  if (stat === null) return 0;
  // The name may hold spaces and brackets. utime, stime, and both of ended children: fields 14 to 17 of proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) / TICKS_PER_SECOND;
}

function writtenBy(pid: number): number | null {
  const io = textOf(`/proc/${pid}/io`);
  const found = io === null ? null : /^write_bytes: (\d+)$/m.exec(io);
  return found === null ? null : Number(found[1]);
}

/** Sums over processes; those that have ended meanwhile count with their parents. */
export function usedBy(pids: readonly number[]): Used {
  const written = pids.map(writtenBy).filter((bytes) => bytes !== null);
  return {
    cpuSeconds: pids.reduce((sum, pid) => sum + cpuOf(pid), 0),
    writtenBytes: written.length === 0 ? null : written.reduce((sum, bytes) => sum + bytes, 0),
  };
}

export function usedBetween(before: Used, after: Used): Used {
  const [from, to] = [before.writtenBytes, after.writtenBytes];
  return {
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    writtenBytes: from === null || to === null ? null : to - from,
  };
}

/** Resident memory in 10^6 bytes, what several share counted once (Pss); null where it is unknown. */
export function memoryMbOf(pids: readonly number[]): number | null {
  let kb = 0;
  for (const pid of pids) {
    const rollup = textOf(`/proc/${pid}/smaps_rollup`);
    const pss = rollup === null ? null : /^Pss:\s+(\d+) kB$/m.exec(rollup);
    if (pss !== null) kb += Number(pss[1]);
  }
  return kb === 0 ? null : (kb * 1024) / 1e6;
}

/** Between two looks at the memory of another process, milliseconds: walking through it costs it a little. */
const MEMORY_EVERY_MS = 200;

/** The most memory that processes had at once, as seen by looking now and then. */
export class PeakMemory {
  readonly #pids: () => readonly number[];
  readonly #timer: NodeJS.Timeout;
  #peak: number | null = null;

  constructor(pids: () => readonly number[]) {
    this.#pids = pids;
    this.#timer = setInterval(() => this.#look(), MEMORY_EVERY_MS);
    this.#look();
  }

  #look(): void {
    const mb = memoryMbOf(this.#pids());
    if (mb !== null) this.#peak = Math.max(this.#peak ?? 0, mb);
  }

  /** The peak in 10^6 bytes; null where it is unknown. May be called twice. */
  stop(): number | null {
    clearInterval(this.#timer);
    this.#look();
    return this.#peak;
  }
}

/** Peak resident memory of this process in 10^6 bytes. */
export function peakMb(): number {
  const status = textOf('/proc/self/status');
  const kb =
    status === null
      ? process.resourceUsage().maxRSS
      : Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
  return (kb * 1024) / 1e6;
}

/** A process and everything below it. */
export function treeOf(pid: number): number[] {
  const pids = [pid];
  for (const one of pids) {
    const list = `/proc/${one}/task/${one}/children`;
    if (!existsSync(list)) continue;
    pids.push(...(textOf(list) ?? '').split(' ').filter(Boolean).map(Number));
  }
  return pids;
}
