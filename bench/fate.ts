/** How the relay treats one recipient of a run. */
export type Fate = 'accepted' | 'temporary' | 'stubborn' | 'permanent';

/** Shares of recipients, 0…1, and what chooses them. */
export interface Failures {
  /** Refused for now at the first attempt, taken at the second. */
  readonly temporary: number;
  /** Refused for now at every attempt, until the attempts are used up. Default: none. */
  readonly stubborn?: number;
  /** Refused for good. */
  readonly permanent: number;
  readonly seed: number;
}

export const NO_FAILURES: Failures = { temporary: 0, permanent: 0, seed: 0 };

/** What the relay says; both are about the recipient, so that no design has a reason to leave the relay alone. */
export const REFUSALS = {
  temporary: '452 4.2.2 Mailbox full, try again',
  permanent: '550 5.1.1 No such user',
} as const;

/** The same recipient has the same fate in every process and every design of a run. */
export function fateOf({ temporary, stubborn = 0, permanent, seed }: Failures, number: number): Fate {
  if (temporary + stubborn + permanent === 0) return 'accepted';
  // The finaliser of MurmurHash3, which scatters neighbouring numbers over all 32 bits.
  let bits = (number ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  const share = ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  if (share < permanent) return 'permanent';
  if (share < permanent + temporary) return 'temporary';
  return share < permanent + temporary + stubborn ? 'stubborn' : 'accepted';
}

/** How many recipients have a fate. */
export function countOf(failures: Failures, people: number, fate: Fate): number {
  let count = 0;
  for (let number = 1; number <= people; number++) if (fateOf(failures, number) === fate) count++;
  return count;
}

/** Whether a person with this fate ends without a mail, and not because it was lost. */
export function endsWithoutMail(fate: Fate): boolean {
  return fate === 'permanent' || fate === 'stubborn';
}
