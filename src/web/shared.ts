/** Keys that are remembered at most; beyond it all are forgotten. */
const KEYS = 1_000;

/**
 * A question that many ask at once and that is asked once: a caller that comes while an answer is under way, or within `goodMs`
 * after it, gets the same. A failure is not kept.
 */
export function shared<Key, Value>(
  ask: (key: Key) => Promise<Value>,
  goodMs: number,
): (key: Key) => Promise<Value> {
  const answers = new Map<Key, { readonly answer: Promise<Value>; until: number }>();
  return (key) => {
    const found = answers.get(key);
    if (found !== undefined && found.until > performance.now()) return found.answer;
    if (answers.size >= KEYS) answers.clear();
    const entry = { answer: ask(key), until: Number.POSITIVE_INFINITY };
    answers.set(key, entry);
    entry.answer.then(
      () => {
        entry.until = performance.now() + goodMs;
      },
      () => {
        if (answers.get(key) === entry) answers.delete(key);
      },
    );
    return entry.answer;
  };
}
