/** Milliseconds of processor time that `work` takes, the least of some tries: what others do on the machine does not count. */
export function cpuMs(work: () => void, tries = 3): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < tries; i++) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}
