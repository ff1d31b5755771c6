/** Faults that are a death: a process or the database's server ends, or is silent for longer than its lease. */
export const DEATHS = ['kill-worker', 'freeze-worker', 'kill-import', 'restart-database'] as const;
/** Everything else that goes wrong in between. */
export const TROUBLES = [
  'term-worker',
  'stop-database',
  'end-connections',
  'fill-disk',
  'refuse-relay',
  'reset-relay',
  'hang-relay',
  'drop-after-dot',
  'answer-421',
  'answer-4xx',
] as const;

export type Death = (typeof DEATHS)[number];
export type Trouble = (typeof TROUBLES)[number];
export type Kind = Death | Trouble;
export const KINDS: readonly Kind[] = [...DEATHS, ...TROUBLES];

/** One thing that goes wrong. */
export interface Fault {
  readonly kind: Kind;
  /** It happens when the sink has taken so many mails. */
  readonly at: number;
  /** In [0, 1), for what is left to chance: whom it hits, when exactly, how hard. */
  readonly chance: readonly [number, number, number];
}

export interface PlanOptions {
  readonly seed: number;
  /** Deaths. */
  readonly kills: number;
  readonly recipients: number;
  /** Kinds that may happen. */
  readonly kinds: readonly Kind[];
}

/** Of a hundred deaths so many; the rest kills workers. */
const DEATHS_PER_HUNDRED: Readonly<Partial<Record<Death, number>>> = {
  'freeze-worker': 12,
  'kill-import': 8,
  'restart-database': 18,
};
/** Beside a hundred deaths so many. Those that make the breaker open, or the workers wait, cost seconds each. */
const TROUBLES_PER_HUNDRED: Readonly<Record<Trouble, number>> = {
  'term-worker': 8,
  'stop-database': 1,
  'end-connections': 8,
  'fill-disk': 3,
  'refuse-relay': 3,
  'reset-relay': 4,
  'hang-relay': 2,
  'drop-after-dot': 8,
  'answer-421': 5,
  'answer-4xx': 5,
};
/** The last fault strikes when this share of the mails has been taken, so that each strikes while mails are sent. */
const LAST_AT = 0.9;
/** Imports come while there is enough to send from what was imported before. */
const LAST_IMPORT_AT = 0.4;

/** Mulberry32: 32 bits of state, the same numbers in [0, 1) for the same seed on every machine. */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What goes wrong and when. Pure: the same options give the same plan. */
export function plan({ seed, kills, recipients, kinds }: PlanOptions): Fault[] {
  const roll = dice(seed);
  const chosen = shuffled([...deaths(kills, kinds), ...troubles(kills, kinds)], roll);
  const step = (recipients * LAST_AT) / Math.max(chosen.length, 1);
  const early = importsEarly(chosen, Math.floor((LAST_IMPORT_AT / LAST_AT) * chosen.length), roll);
  return early.map((kind, i) => ({
    kind,
    at: Math.floor(step * (i + roll())),
    chance: [roll(), roll(), roll()],
  }));
}

function deaths(kills: number, kinds: readonly Kind[]): Kind[] {
  const allowed = DEATHS.filter((kind) => kinds.includes(kind));
  const [main] = allowed;
  if (main === undefined) return [];
  const list: Kind[] = [];
  for (const kind of allowed.slice(1)) {
    const share = Math.max(1, Math.round(((DEATHS_PER_HUNDRED[kind] ?? 0) * kills) / 100));
    for (let n = 0; n < share && list.length < kills; n++) list.push(kind);
  }
  while (list.length < kills) list.push(main);
  return list;
}

function troubles(kills: number, kinds: readonly Kind[]): Kind[] {
  return TROUBLES.filter((kind) => kinds.includes(kind)).flatMap((kind) =>
    Array.from(
      { length: Math.max(1, Math.round((TROUBLES_PER_HUNDRED[kind] * kills) / 100)) },
      (): Kind => kind,
    ),
  );
}

/** Fisher and Yates. */
function shuffled(kinds: Kind[], roll: () => number): Kind[] {
  for (let i = kinds.length - 1; i > 0; i--) swap(kinds, i, Math.floor(roll() * (i + 1)));
  return kinds;
}

function swap(kinds: Kind[], one: number, other: number): void {
  [kinds[one], kinds[other]] = [kinds[other] as Kind, kinds[one] as Kind];
}

/** Moves imports that stand at `end` or later before it; those that come then strike no person that is still to be imported. */
function importsEarly(kinds: Kind[], end: number, roll: () => number): Kind[] {
  const free = () => kinds.slice(0, end).flatMap((kind, i) => (kind === 'kill-import' ? [] : [i]));
  for (let i = end; i < kinds.length; i++) {
    const places = kinds[i] === 'kill-import' ? free() : [];
    const place = places[Math.floor(roll() * places.length)];
    if (place !== undefined) swap(kinds, i, place);
  }
  return kinds;
}
