/** Milliseconds of the machine's monotonic clock: the same in every process, whatever happens to the time of day. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Rejects when a promise takes too long: a broker's client that waits for ever must not stop the whole run. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} took more than ${ms / 1000} s`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
