/** One thing that was looked at. */
export interface Diagnosis {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
  /** What to do; null when all is well. */
  readonly advice: string | null;
}

export const fine = (what: string, found: string): Diagnosis => ({ what, ok: true, found, advice: null });
export const wrong = (what: string, found: string, advice: string): Diagnosis => ({
  what,
  ok: false,
  found,
  advice,
});
