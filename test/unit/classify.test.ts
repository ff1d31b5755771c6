import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classify, ofWorkingRelay, type Verdict } from '../../src/smtp/classify.ts';
import { DELIVERY_CODES, type Delivery, type Stage } from '../../src/smtp/deliverer.ts';
import { parseReply } from '../../src/smtp/reply.ts';

const STAGES: readonly Stage[] = ['connect', 'auth', 'mail', 'rcpt', 'data', 'final'];
const NAMED: readonly Stage[] = ['mail', 'rcpt', 'data', 'final'];
const LATE: readonly Stage[] = ['rcpt', 'data', 'final'];

const sent: Verdict = { kind: 'sent' };
const backoff: Verdict = { kind: 'backoff' };
const misconfigured: Verdict = { kind: 'misconfigured' };
const sender: Verdict = { kind: 'sender' };
const fallback: Verdict = { kind: 'fallback' };
const unconfirmed: Verdict = { kind: 'unconfirmed' };
const rejected: Verdict = { kind: 'rejected', policy: false };
const refused: Verdict = { kind: 'rejected', policy: true };
const greylisted: Verdict = { kind: 'retry', minDelaySeconds: 300 };
const later: Verdict = { kind: 'retry', minDelaySeconds: 0 };

function verdictOf(stage: Stage, reply: string): Verdict {
  return classify({ kind: 'replied', stage, reply: parseReply(reply) });
}

type Row = readonly [stages: readonly Stage[], reply: string, verdict: Verdict];

const TABLE: Record<string, readonly Row[]> = {
  accepted: [
    [['final'], '250 2.0.0 Ok: queued as 4XyZ', sent],
    [['final'], '250', sent],
    [['final'], '200 odd but 2xx', sent],
    [['final'], '354 no answer to the end of data', unconfirmed],
    [
      ['connect', 'auth', 'mail', 'rcpt', 'data'],
      '250 2.0.0 accepted where a failure was expected',
      fallback,
    ],
  ],
  '421, 4.3.2, 4.4.x, 4.7.x rate: the relay backs off': [
    [STAGES, '421 4.3.0 closing', backoff],
    [STAGES, '421', backoff],
    [STAGES, '421 4.7.1 greylisted', backoff],
    [LATE, '451 4.3.2 System not accepting network messages', backoff],
    [LATE, '450 4.4.2 timeout', backoff],
    [LATE, '451 4.4.1 no answer', backoff],
    [LATE, '450 4.7.1 Error: too much mail, rate limit', backoff],
    [LATE, '450 4.7.28 Our system has detected an unusual rate of mail', backoff],
    [LATE, '451 4.7.0 throttled', backoff],
    [LATE, '451 4.7.650 The mail server has been temporarily rate limited', backoff],
    [LATE, '454 4.7.0 Temporary authentication failure, too many', backoff],
    [LATE, '454 TLS not available due to temporary reason', backoff],
    [LATE, '432 a password transition is needed', backoff],
  ],
  '450/451, 4.7.1, 4.2.0 (greylisting): retry after at least 5 minutes': [
    [LATE, '450 4.2.0 <a@b>: Recipient address rejected: Greylisted', greylisted],
    [LATE, '451 4.7.1 Greylisting in action, please come back later', greylisted],
    [LATE, '450 4.7.1 rate of greylisting exceeded', greylisted],
    [LATE, '450 4.2.0 busy', greylisted],
    [LATE, '450 4.7.1 come back', greylisted],
    [LATE, '450 mailbox unavailable', greylisted],
    [LATE, '451 local error', greylisted],
    [LATE, '451 4.3.0 Temporary lookup failure', greylisted],
    [LATE, '452 postgrey says later', greylisted],
  ],
  '452 4.5.3 / 4.3.1 / 4.2.2: retry later': [
    [LATE, '452 4.5.3 too many recipients', later],
    [LATE, '452 4.3.1 Insufficient system storage', later],
    [LATE, '452 4.2.2 mailbox full', later],
    [LATE, '450 4.2.2 mailbox full', later],
    [LATE, '452', later],
    [LATE, '455 parameters', later],
    [LATE, '499 odd', later],
  ],
  'before a recipient was named no recipient is charged': [
    [['mail'], '450 4.2.0 busy', backoff],
    [['mail'], '451 4.7.1 greylisted', backoff],
    [['mail'], '452 4.3.1 Insufficient system storage', backoff],
    [['connect', 'auth'], '450 4.7.1 come back', backoff],
    [['auth'], '454 4.7.0 Temporary authentication failure', backoff],
  ],
  '5.1.x, 5.2.1: the address is bad': [
    [['rcpt'], '550 5.1.1 no such user', rejected],
    [['rcpt'], '550 5.1.2 no such host', rejected],
    [['rcpt'], '501 5.1.3 Bad recipient address syntax', rejected],
    [['rcpt'], '550 5.1.10 null mx', rejected],
    [['rcpt'], '550 5.2.1 mailbox disabled', rejected],
    [['rcpt'], '554 5.4.4 unrouteable', rejected],
    [['rcpt'], '550 5.1.1 undeliverable: host mx.example said: relay access denied', rejected],
    [['rcpt'], '550 <kim@relay.example>: user unknown at mx-relay.example', rejected],
    [['rcpt'], '550 No such user here', rejected],
    [['rcpt'], '551 User not local', rejected],
    [['rcpt'], '553 mailbox name not allowed', rejected],
    [['rcpt'], '556 domain does not accept mail', rejected],
    [['rcpt'], '550 5.5.0 Requested action not taken: mailbox unavailable', rejected],
  ],
  '552 5.2.2: the mailbox is full': [
    [['rcpt'], '552 5.2.2 mailbox full', rejected],
    [['rcpt'], '552 exceeded storage allocation', rejected],
  ],
  '5.3.4, 5.6.x, 5.7.x, bare 554: content or policy': [
    [LATE, '552 5.3.4 message too big', refused],
    [['mail'], '552 5.3.4 message too big', refused],
    [['mail'], '552 message exceeds fixed maximum message size', refused],
    [LATE, '554 5.6.0 malformed', refused],
    [LATE, '550 5.7.1 relaying denied', refused],
    [LATE, '550 5.7.26 unauthenticated mail', refused],
    [LATE, '554 Transaction failed', refused],
    [LATE, '554 5.5.1 odd', refused],
    [LATE, '550 5.3.0 other', refused],
    [['data', 'final'], '550 looks like spam', refused],
    [['data', 'final'], '550 5.1.1 no such user', refused],
    [['data', 'final'], '552 5.2.2 mailbox full', refused],
    [['data', 'final'], '550 5.4.1 Access denied', refused],
    [['final'], '552 too much', refused],
  ],
  'we may not send more today: the relay backs off, whatever the code': [
    [NAMED, '550 5.4.5 Daily user sending quota exceeded. For more information go to …', backoff],
    [NAMED, '550 5.4.5 Daily SMTP relay sending limit exceeded for user', backoff],
    [NAMED, '554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException', backoff],
    [NAMED, "550 5.1.90 Your message can't be sent because you've reached your daily limit", backoff],
    [NAMED, '550 Domain example.com has exceeded the max emails per hour (500/500) allowed', backoff],
    [['rcpt'], '550 5.2.1 kim is over the daily limit for receiving mail', rejected],
    [['rcpt'], '552 over quota', rejected],
  ],
  'the relay does not relay: who it refuses counts towards the pause': [
    [['rcpt'], '550 relay not permitted', refused],
    [['rcpt'], '550 Relaying denied.', refused],
    [['rcpt'], '550 5.7.1 Unable to relay', refused],
    [['rcpt'], '551 we do not relay', refused],
    [['rcpt'], "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", refused],
    [['rcpt'], '554 5.7.1 <kim@example.com>: Relay access denied', refused],
    [['rcpt'], '550 5.4.1 Relay access denied', refused],
  ],
  '501, 504, 555 to RCPT: the address is not understood': [
    [['rcpt'], '501 syntax', refused],
    [['rcpt'], '504 5.5.4 parameter', refused],
    [['rcpt'], '555 5.5.4 parameters not recognized', refused],
  ],
  '530, 535, 5.7.8: configuration': [
    [STAGES, '530 5.7.0 Authentication required', misconfigured],
    [STAGES, '530 Must issue a STARTTLS command first', misconfigured],
    [STAGES, '535 5.7.8 Authentication credentials invalid', misconfigured],
    [STAGES, '550 5.7.8 Authentication credentials invalid', misconfigured],
    [STAGES, '534 5.7.9 Please log in with your web browser', misconfigured],
    [STAGES, '538 5.7.11 Encryption required', misconfigured],
    [['connect'], '554 5.7.1 your address is listed', misconfigured],
    [['connect'], '554 No SMTP service here', misconfigured],
    [['connect'], '502 EHLO?', misconfigured],
    [['auth'], '504 5.5.4 mechanism', misconfigured],
    [['auth'], '550 no', misconfigured],
  ],
  '5xx to MAIL, 5.1.7 and 5.1.8 anywhere: the sender of this campaign': [
    [['mail'], '550 5.7.1 sender not allowed', sender],
    [['mail'], '553 5.1.8 sender domain unknown', sender],
    [['mail'], '501 5.1.7 Bad sender address syntax', sender],
    [['mail'], '554 no', sender],
    [LATE, '550 5.1.8 Sender address rejected: Domain not found', sender],
    [LATE, '554 5.2.252 SendAsDenied; news@example.com not allowed to send as', sender],
    [LATE, '554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAs', sender],
  ],
  '500 to 504: our bug or an odd server': [
    [LATE, '500 5.5.2 Command not recognized', fallback],
    [['data', 'final'], '501 syntax', fallback],
    [LATE, '502 5.5.1 not implemented', fallback],
    [LATE, '503 5.5.1 bad sequence of commands', fallback],
    [['data', 'final'], '504 5.5.4 parameter', fallback],
    [['data', 'final'], '555 5.5.4 parameters not recognized', fallback],
    [['mail'], '500 unrecognized', fallback],
    [['mail'], '503 5.5.1 nested MAIL', fallback],
    [['mail'], '555 5.5.4 Unsupported option', fallback],
  ],
};

describe.each(Object.entries(TABLE))('%s', (_, rows) => {
  test.each(
    rows.flatMap(([stages, reply, verdict]) => stages.map((stage) => [stage, reply, verdict] as const)),
  )('%s: %s', (stage, reply, verdict) => {
    expect(verdictOf(stage, reply)).toEqual(verdict);
  });
});

describe('without a reply', () => {
  test.each([
    'ECONNREFUSED',
    'ENOTFOUND',
    'ECONNRESET',
    'EAI_AGAIN',
    'CERT_HAS_EXPIRED',
    DELIVERY_CODES.tls,
    DELIVERY_CODES.timeout,
    DELIVERY_CODES.connection,
    DELIVERY_CODES.aborted,
  ])('%s: the connection is in trouble, no recipient is charged', (code) => {
    expect(classify({ kind: 'not-sent', code, why: 'x' })).toEqual(backoff);
  });

  test.each([DELIVERY_CODES.needsSmtputf8, DELIVERY_CODES.needs8bitmime, DELIVERY_CODES.badAddress])(
    '%s: the mail can never be handed to this relay',
    (code) => {
      expect(classify({ kind: 'not-sent', code, why: 'because' })).toEqual({
        kind: 'invalid',
        why: 'because',
      });
    },
  );

  test('what no mail of the campaign can do is not the fault of an address', () => {
    const delivery = (code: string): Delivery => ({ kind: 'not-sent', code, why: 'because' });
    expect(classify(delivery(DELIVERY_CODES.tooBig))).toEqual(refused);
    expect(classify(delivery(DELIVERY_CODES.senderNeedsSmtputf8))).toEqual(sender);
  });

  test('no way to log in is configuration, a broken protocol falls back to serial', () => {
    expect(classify({ kind: 'not-sent', code: DELIVERY_CODES.auth, why: 'x' })).toEqual(misconfigured);
    expect(classify({ kind: 'not-sent', code: DELIVERY_CODES.protocol, why: 'x' })).toEqual(fallback);
  });

  test('handed over and never answered is unconfirmed, whatever the code', () => {
    for (const code of Object.values(DELIVERY_CODES)) {
      expect(classify({ kind: 'ambiguous', code, why: 'x' })).toEqual(unconfirmed);
    }
  });
});

describe('a relay that has taken mails', () => {
  const of = (delivery: Delivery) => ofWorkingRelay(classify(delivery), delivery);
  const said = (stage: Stage, reply: string) => of({ kind: 'replied', stage, reply: parseReply(reply) });

  test('does not misunderstand us: it means this recipient or this sender', () => {
    for (const stage of LATE) expect(said(stage, '500 5.5.2 RCPT TO syntax error')).toEqual(later);
    for (const stage of LATE) expect(said(stage, '503 5.5.1 bad sequence of commands')).toEqual(later);
    expect(said('mail', '501 syntax')).toEqual(sender);
  });

  test('that breaks the protocol is in trouble like one that hangs up; all else is as it was', () => {
    expect(of({ kind: 'not-sent', code: DELIVERY_CODES.protocol, why: 'x' })).toEqual(backoff);
    expect(said('rcpt', '550 5.1.1 no such user')).toEqual(rejected);
    expect(said('mail', '530 5.7.0 Authentication required')).toEqual(misconfigured);
  });
});

test('property: every reply has a verdict; sent needs a 2xx at the end of data; a 4xx never ends a recipient', () => {
  const reply = fc.record({
    code: fc.integer({ min: 200, max: 599 }),
    enhanced: fc.option(fc.stringMatching(/^[245]\.\d{1,3}\.\d{1,3}$/), { nil: null }),
    text: fc.string(),
  });
  fc.assert(
    fc.property(fc.constantFrom(...STAGES), reply, (stage, generated) => {
      const delivery: Delivery = { kind: 'replied', stage, reply: generated };
      const verdict = classify(delivery);
      expect(verdict.kind === 'sent').toBe(stage === 'final' && generated.code < 300);
      if (generated.code >= 400 && generated.code < 500) expect(['retry', 'backoff']).toContain(verdict.kind);
      if (stage === 'connect' || stage === 'auth')
        expect(['rejected', 'retry', 'sent']).not.toContain(verdict.kind);
    }),
    { numRuns: 2000 },
  );
});
