import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';

const CORPUS = fileURLToPath(new URL('../corpus', import.meta.url));

/** Ugly files, by name. */
export const corpus: ReadonlyMap<string, Buffer> = new Map(
  readdirSync(CORPUS)
    .filter((file) => file.endsWith('.csv'))
    .sort()
    .map((file) => [file, readFileSync(path.join(CORPUS, file))]),
);

/** Bytes that mean something to CSV, to an encoding, to COPY, or to no reader. */
const TOKENS: readonly Buffer[] = [
  ...['"', '""', ',', ';', '\t', '|', '\r', '\n', '\r\n', ' ', '\0', '\\', '\\N', '\\.', "'", '=', '@'],
  ...['한', '똠', '🙂', '\ufeff', '\ufffd', '\u2028', '\u0301', 'sep=;\r\n', 'email', '이메일', 'x@y.kr'],
].map((text) => Buffer.from(text));
const HALVES: readonly Buffer[] = [
  [0xff, 0xfe],
  [0xfe, 0xff],
  [0xef, 0xbb, 0xbf],
  [0x3d, 0xd8],
  [0x00, 0xdc],
  [0xc7],
  [0xc7, 0xd1],
  [0x81],
  [0x80],
  [0xed, 0xa0, 0x80],
  [0xf0, 0x9f],
  [0xc0, 0xaf],
].map((bytes) => Buffer.from(bytes));

/** One change; positions are shares of the length, so that they fit whatever the changes before left. */
type Mutation =
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Buffer; readonly times: number }
  | { readonly kind: 'delete' | 'swap'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number; readonly times: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'splice'; readonly at: number; readonly from: number; readonly other: string };

const share = fc.nat(9_999);
const name = fc.constantFrom(...corpus.keys());
const token = fc.constantFrom(...TOKENS, ...HALVES);
/** Mostly once; now and then often enough to pass every limit that the test sets. */
const times = fc.oneof(
  { weight: 12, arbitrary: fc.constant(1) },
  fc.integer({ min: 2, max: 40 }),
  fc.constantFrom(300, 1_500),
);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('insert' as const), at: share, bytes: token, times }),
  fc.record({
    kind: fc.constantFrom('delete' as const, 'swap' as const),
    at: share,
    length: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({
    kind: fc.constant('repeat' as const),
    at: share,
    length: fc.integer({ min: 1, max: 30 }),
    times: fc.constantFrom(1, 2, 30),
  }),
  fc.record({ kind: fc.constant('flip' as const), at: share, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('splice' as const), at: share, from: share, other: name }),
);

function mutate(bytes: Buffer, change: Mutation): Buffer {
  const at = Math.floor((bytes.length * change.at) / 10_000);
  const before = bytes.subarray(0, at);
  switch (change.kind) {
    case 'insert':
      return Buffer.concat([before, ...Array<Buffer>(change.times).fill(change.bytes), bytes.subarray(at)]);
    case 'delete':
      return Buffer.concat([before, bytes.subarray(at + change.length)]);
    case 'swap': {
      const middle = Buffer.from(bytes.subarray(at, at + change.length)).reverse();
      return Buffer.concat([before, middle, bytes.subarray(at + middle.length)]);
    }
    case 'repeat': {
      const again = bytes.subarray(at, at + change.length);
      return Buffer.concat([before, ...Array<Buffer>(change.times).fill(again), bytes.subarray(at)]);
    }
    case 'flip': {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << change.bit);
      return at < bytes.length ? flipped : bytes;
    }
    case 'splice': {
      const other = corpus.get(change.other) ?? Buffer.alloc(0);
      return Buffer.concat([before, other.subarray(Math.floor((other.length * change.from) / 10_000))]);
    }
  }
}

/** A file of the corpus after some changes. */
export const mutatedCsv: fc.Arbitrary<Buffer> = fc
  .tuple(name, fc.array(mutation, { maxLength: 6 }))
  .map(([file, changes]) => changes.reduce(mutate, corpus.get(file) ?? Buffer.alloc(0)));

/** Cuts bytes at shares of their length. */
export function cutAt(bytes: Buffer, shares: readonly number[]): Buffer[] {
  const places = shares.map((at) => Math.floor((bytes.length * at) / 10_000)).sort((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

export const cuts = fc.array(share, { maxLength: 6 });
