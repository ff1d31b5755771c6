import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normaliseReply, splitReply } from '../../src/smtp/reply-normal.ts';
import type { ReplyPattern, ReplyVerdict } from '../../src/smtp/reply-pattern.ts';
import { REPLY_PATTERNS } from '../../src/smtp/reply-patterns.ts';
import { classifyReply, explainReply } from '../../src/smtp/reply-verdict.ts';
import { type CorpusReply, readReplyCorpus, readSimilarReplies } from '../support/reply-corpus.ts';
import { mutateReply, replyDetails } from '../support/reply-mutation.ts';

const CORPUS = readReplyCorpus();
const STAGES = ['banner', 'helo', 'starttls', 'auth', 'mail', 'rcpt', 'data', 'final'];
const OURS: readonly ReplyVerdict[] = [
  'sender-refused',
  'relay-deferred',
  'connection-limit',
  'session-limit',
  'configuration',
  'protocol',
];
const RECIPIENTS: readonly ReplyVerdict[] = ['recipient-rejected', 'recipient-deferred'];
const FAILS_A_MAIL: readonly ReplyVerdict[] = [...RECIPIENTS, 'message-rejected'];
const PAUSES: readonly ReplyVerdict[] = ['sender-refused', 'configuration'];

/** These name a contact of the provider, or a number of four parts. */
const PROVIDERS_OWN = ['outlook-banned-sender', 'yahoo-volume-or-complaints'];

interface Judged {
  readonly entry: CorpusReply;
  readonly verdict: ReplyVerdict;
}

const judge = (entries: readonly CorpusReply[], patterns = REPLY_PATTERNS): Judged[] =>
  entries.map((entry) => ({ entry, verdict: explainReply(entry, patterns).verdict }));
const wrong = (judged: readonly Judged[]) => judged.filter(({ entry, verdict }) => entry.verdict !== verdict);
const agreement = (judged: readonly Judged[]) => 1 - wrong(judged).length / judged.length;
const shown = ({ entry, verdict }: Judged) => `${entry.id}: ${entry.verdict} → ${verdict}`;
const failsForUs = (judged: readonly Judged[], failing: readonly ReplyVerdict[]) =>
  judged.filter(({ entry, verdict }) => OURS.includes(entry.verdict) && failing.includes(verdict));
const pausesForThem = (judged: readonly Judged[]) =>
  judged.filter(({ entry, verdict }) => RECIPIENTS.includes(entry.verdict) && PAUSES.includes(verdict));

describe('the corpus', () => {
  test('holds more than 900 replies of more than 80 providers and servers', () => {
    expect(new Set(CORPUS.map(({ reply }) => reply)).size).toBeGreaterThan(900);
    expect(new Set(CORPUS.map(({ provider }) => provider)).size).toBeGreaterThan(80);
  });

  test('names every entry once, with a stage, a source and a verdict of the set', () => {
    const verdicts = [...OURS, ...FAILS_A_MAIL];
    const broken = CORPUS.filter(
      ({ id, provider, stage, verdict, source }) =>
        !/^[a-z0-9]+(?:-[a-z0-9]+)+$/.test(id) ||
        provider === '' ||
        source === '' ||
        !STAGES.includes(stage) ||
        !verdicts.includes(verdict),
    );
    expect(broken.map(({ id }) => id)).toEqual([]);
    expect(new Set(CORPUS.map(({ id }) => id)).size).toBe(CORPUS.length);
  });

  test('gives every line of a reply the same refusing code', () => {
    const broken = CORPUS.filter(({ reply }) => {
      const lines = reply.split('\n');
      const code = reply.slice(0, 3);
      return !(/^[45]\d\d$/.test(code) && lines.every((line) => line.startsWith(code)));
    });
    expect(broken.map(({ id }) => id)).toEqual([]);
  });

  test('names no address and no IP address of a real host', () => {
    const broken = CORPUS.filter(({ id }) => !PROVIDERS_OWN.includes(id)).flatMap(({ id, reply }) => [
      ...[...reply.matchAll(/@((?:[\w-]+\.)+[a-z]{2,})/gi)]
        .filter(
          ([, host]) => !/(?:^|\.)(?:example\.(?:com|net|org)|\w*\.?example|invalid|test)$/i.test(host ?? ''),
        )
        .map(([address]) => `${id}: ${address}`),
      ...[...reply.matchAll(/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g)]
        .filter(([ip]) => !/^(?:192\.0\.2|198\.51\.100|203\.0\.113|127\.\d+\.\d+)\./.test(ip))
        .map(([ip]) => `${id}: ${ip}`),
    ]);
    expect(broken).toEqual([]);
  });
});

describe('the table of reply patterns', () => {
  test('agrees with at least 98 % of the corpus', () => {
    const judged = judge(CORPUS);
    expect(wrong(judged).length, wrong(judged).map(shown).join('\n')).toBeLessThanOrEqual(
      CORPUS.length * 0.02,
    );
  });

  test('fails no recipient and no mail for what is our fault or the relay’s', () => {
    expect(failsForUs(judge(CORPUS), FAILS_A_MAIL).map(shown)).toEqual([]);
  });

  test('pauses no campaign for what is one recipient’s', () => {
    expect(pausesForThem(judge(CORPUS)).map(shown)).toEqual([]);
  });

  test('fails no recipient when a server puts off its refusals of us until RCPT', () => {
    const early = CORPUS.filter(
      ({ stage, verdict }) => ['banner', 'helo', 'mail'].includes(stage) && OURS.includes(verdict),
    );
    const later = judge(early.map((entry) => ({ ...entry, stage: 'rcpt' })));
    expect(early.length).toBeGreaterThan(250);
    // These say "does not exist" or "invalid address" and do not name the sender.
    expect(
      failsForUs(later, RECIPIENTS)
        .map(({ entry }) => entry.id)
        .sort(),
    ).toEqual(['daum-sender-address-invalid', 'filter-sender-host-does-not-exist', 'sendmail-illegal-mx']);
  });

  test('gives every pattern a name of its own and an example that it decides', () => {
    expect(new Set(REPLY_PATTERNS.map(({ name }) => name)).size).toBe(REPLY_PATTERNS.length);
    const broken = REPLY_PATTERNS.filter(({ name, example }) => {
      const entry = CORPUS.find(({ id }) => id === example);
      return entry === undefined || explainReply(entry).pattern !== name;
    });
    expect(broken.map(({ name, example }) => `${name}: ${example}`)).toEqual([]);
  });
});

describe('similar replies outside the corpus', () => {
  const judged = judge(
    readSimilarReplies().map((similar) => ({ ...similar, id: similar.reply, provider: '', source: '' })),
  );

  test('are judged right in 97 of 100 cases', () => {
    expect(judged.length).toBeGreaterThan(500);
    expect(agreement(judged), wrong(judged).map(shown).join('\n')).toBeGreaterThan(0.97);
  });

  test('fail no recipient and no mail for our fault, and pause nothing for theirs', () => {
    expect([...failsForUs(judged, FAILS_A_MAIL), ...pausesForThem(judged)].map(shown)).toEqual([]);
  });
});

describe('half of the providers', () => {
  const providers = [...new Set(CORPUS.map(({ provider }) => provider))].sort();
  const isOdd = ({ provider }: CorpusReply) => providers.indexOf(provider) % 2 === 1;
  const halves = [CORPUS.filter(isOdd), CORPUS.filter((entry) => !isOdd(entry))] as const;

  test.each([
    ['even', halves[0], halves[1]],
    ['odd', halves[1], halves[0]],
  ] as const)('phrases found in the one half judge the %s half', (_title, known, unseen) => {
    const judged = judge(unseen, phrasesFoundIn(known));
    const figures = `${(agreement(judged) * 100).toFixed(1)} % of ${judged.length}`;
    expect(agreement(judged), figures).toBeGreaterThan(0.7);
    expect(failsForUs(judged, RECIPIENTS).length / judged.length, figures).toBeLessThan(0.08);
  });
});

describe('the normal form', () => {
  test('does not change with hosts, addresses, ids and the spelling of numbers', () => {
    const plain = CORPUS.map(({ stage, reply }) => ({
      reply,
      words: normaliseReply(reply),
      meaning: (text: string) => classifyReply({ stage, reply: text }),
    }));
    fc.assert(
      fc.property(replyDetails, (details) => {
        const changed = plain
          .map((known) => ({ ...known, mutant: mutateReply(known.reply, details) }))
          .filter(
            ({ reply, words, meaning, mutant }) =>
              mutant !== reply && (normaliseReply(mutant) !== words || meaning(mutant) !== meaning(reply)),
          );
        expect(changed.map(({ reply, mutant }) => `${reply}\n⇒ ${mutant}`)).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  test('does not depend on how the lines of a reply are joined', () => {
    const changed = CORPUS.filter(
      ({ stage, reply }) =>
        classifyReply({ stage, reply: reply.replaceAll('\n', ' ') }) !== classifyReply({ stage, reply }) ||
        classifyReply({ stage, reply: reply.replaceAll('\n', '\r\n') }) !== classifyReply({ stage, reply }),
    );
    expect(changed.map(({ id }) => id)).toEqual([]);
  });

  test('is a fixed point for its own words', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        expect(normaliseReply(text)).not.toMatch(/[\d@<>]/);
      }),
    );
  });

  test('of hostile text of a megabyte takes no longer than that of a reply', () => {
    const hostile = ['a.', 'a:', '@', '<', '1 jan ', 'too many ', 'user '].map(
      (piece) => `550 ${piece.repeat(200_000)}`,
    );
    const start = performance.now();
    for (const reply of hostile) classifyReply({ stage: 'rcpt', reply });
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('replies without known words', () => {
  test.each([
    ['rcpt', '550 x', 'recipient-rejected'],
    ['rcpt', '450 x', 'recipient-deferred'],
    ['rcpt', '421 x', 'relay-deferred'],
    ['rcpt', '554 x', 'message-rejected'],
    ['rcpt', '550 5.1.1 x', 'recipient-rejected'],
    ['rcpt', '550 5.1.8 x', 'sender-refused'],
    ['rcpt', '452 4.3.1 x', 'relay-deferred'],
    ['mail', '550 x', 'sender-refused'],
    ['mail', '550 5.1.1 x', 'sender-refused'],
    ['mail', '451 x', 'relay-deferred'],
    ['mail', '552 5.3.4 x', 'message-rejected'],
    ['mail', '530 5.7.0 x', 'configuration'],
    ['auth', '535 x', 'configuration'],
    ['auth', '454 x', 'relay-deferred'],
    ['starttls', '454 x', 'configuration'],
    ['banner', '554 x', 'sender-refused'],
    ['connect', '421 x', 'relay-deferred'],
    ['data', '503 x', 'protocol'],
    ['final', '554 x', 'message-rejected'],
    ['final', '552 x', 'message-rejected'],
    ['final', '550 5.7.26 x', 'sender-refused'],
    ['final', '451 4.7.1 x', 'relay-deferred'],
    ['final', '5', 'protocol'],
  ] as const)('%s: %s is %s', (stage, reply, verdict) => {
    expect(explainReply({ stage, reply }, REPLY_PATTERNS)).toMatchObject({ verdict });
  });
});

/** The table with only those phrases, top-level alternatives of a pattern each, that are found in the entries. */
function phrasesFoundIn(entries: readonly CorpusReply[]): ReplyPattern[] {
  const forms = entries.map(({ reply }) => `${splitReply(reply).words} list name`);
  return REPLY_PATTERNS.flatMap((pattern) => {
    const words = pattern.words
      .flatMap(({ source }) => alternatives(source))
      .map((source) => new RegExp(source))
      .filter((phrase) => forms.some((form) => phrase.test(form)));
    return words.length === 0 ? [] : [{ ...pattern, words }];
  });
}

/** `a|b(?:c|d)` is `a` and `b(?:c|d)`. The patterns have no brackets inside classes. */
function alternatives(source: string): string[] {
  const found = [''];
  let depth = 0;
  for (const part of source.match(/\\.|[^\\]/gs) ?? []) {
    if (part === '(') depth += 1;
    if (part === ')') depth -= 1;
    if (part === '|' && depth === 0) found.push('');
    else found[found.length - 1] += part;
  }
  return found;
}
