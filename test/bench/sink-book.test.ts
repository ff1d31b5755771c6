import { beforeEach, describe, expect, test } from 'vitest';
import { type Failures, fateOf, NO_FAILURES, REFUSALS } from '../../bench/fate.ts';
import { csvOf, MESSAGE, numberOf, peopleOf, personOf, wrongMail } from '../../bench/list.ts';
import { SinkBook } from '../../bench/sink-book.ts';
import { compileMessage } from '../../src/message/compose.ts';

const RUN = 'r1_1';
const composer = compileMessage({
  campaignId: 1,
  source: {
    subject: MESSAGE.subject,
    html: MESSAGE.html,
    text: MESSAGE.text,
    sender: MESSAGE.from,
    replyTo: null,
    headers: {},
  },
  attachments: [],
  bounceTo: null,
  messageIdDomain: null,
});

function mailTo(number: number, run = RUN): { readonly to: string; readonly raw: Buffer } {
  const { id, address, vars } = personOf(run, number);
  const mail = composer.compose({ recipientId: id, address, vars });
  if ('kind' in mail) throw new Error(mail.why);
  return { to: address, raw: mail.raw };
}

describe('the sink’s book', () => {
  let clock = 0;
  let book = new SinkBook(() => ++clock);
  const begin = (people: number, failures: Failures = NO_FAILURES) =>
    book.begin({ run: RUN, people, failures, check: true });
  const take = ({ to, raw }: { readonly to: string; readonly raw: Buffer }) => book.accept('', [to], raw);

  beforeEach(() => {
    clock = 0;
    book = new SinkBook(() => ++clock);
  });

  test('every person once, every body read', () => {
    begin(3);
    for (const number of [1, 2, 3]) take(mailTo(number));
    expect(book.seen()).toEqual({
      accepted: 3,
      recipients: 3,
      lost: 0,
      lostNumbers: [],
      duplicated: 0,
      wrong: 0,
      why: null,
      read: 3,
      temporary: 0,
      permanent: 0,
      firstAt: 1,
      lastAt: 3,
    });
  });

  test('a person without a mail is lost, a second mail is one too many', () => {
    begin(4);
    for (const number of [1, 1, 1, 3]) take(mailTo(number));
    expect(book.seen()).toMatchObject({
      accepted: 4,
      recipients: 2,
      lost: 2,
      lostNumbers: [2, 4],
      duplicated: 2,
    });
  });

  test('a mail with another person’s body is wrong', () => {
    begin(2);
    take({ to: mailTo(1).to, raw: mailTo(2).raw });
    const seen = book.seen();
    expect(seen.wrong).toBeGreaterThan(0);
    expect(seen.why).toContain('person1@');
  });

  test('a mail of an earlier run is wrong', () => {
    begin(1);
    take(mailTo(1, 'r0_9'));
    expect(book.seen().why).toContain('lacks its code');
  });

  test('a mail that has its code and lacks a letter is wrong', () => {
    begin(1);
    const { to, raw } = mailTo(1);
    const spoilt = raw.toString('latin1').replace('Please have it ready', 'Please ave it ready');
    take({ to, raw: Buffer.from(spoilt, 'latin1') });
    expect(book.seen()).toMatchObject({ wrong: 1, why: expect.stringContaining('text/plain') });
  });

  test('a mail to another address is wrong', () => {
    begin(1);
    book.accept('', ['somebody@example.com'], mailTo(1).raw);
    take(mailTo(2));
    expect(book.seen()).toMatchObject({ wrong: 2, lost: 1 });
  });

  test('refuses for now once and for good always; who is refused for good is not lost', () => {
    const failures = { temporary: 0.2, permanent: 0.2, seed: 4 };
    const of = (fate: string) => {
      for (let number = 1; ; number++) if (fateOf(failures, number) === fate) return number;
    };
    const [temporary, permanent] = [of('temporary'), of('permanent')];
    begin(Math.max(temporary, permanent), failures);
    const [first, second] = [mailTo(temporary), mailTo(permanent)];
    expect(book.judge(first.to)).toEqual({ at: 'rcpt', reply: REFUSALS.temporary });
    expect(book.judge(first.to)).toBeNull();
    for (let times = 0; times < 3; times++)
      expect(book.judge(second.to)).toEqual({ at: 'rcpt', reply: REFUSALS.permanent });
    take(first);
    const seen = book.seen();
    expect(seen).toMatchObject({ temporary: 1, permanent: 3 });
    expect(seen.lostNumbers).not.toContain(permanent);
    expect(seen.lostNumbers).not.toContain(temporary);
  });

  test('forgets the run before', () => {
    begin(2);
    take(mailTo(1));
    begin(1);
    expect(book.accepted).toBe(0);
    expect(book.seen()).toMatchObject({ accepted: 0, lost: 1, firstAt: Number.NaN });
  });
});

describe('the list of a run', () => {
  test('a person is known by the address, no other address is', () => {
    expect(numberOf(personOf(RUN, 1234).address)).toBe(1234);
    for (const other of [
      'person1@mail2.example.com',
      'person@mail0.example.com',
      'kim@mail1.example.com',
      '',
    ])
      expect(numberOf(other)).toBe(0);
  });

  test('is whole, in pieces, and a CSV with a line for every person', async () => {
    let people = 0;
    for await (const piece of peopleOf(RUN, 2_500)) people += piece.length;
    expect(people).toBe(2_500);
    let text = '';
    for await (const piece of csvOf(peopleOf(RUN, 2_500))) text += piece.toString('utf8');
    const lines = text.trimEnd().split('\r\n');
    expect(lines).toHaveLength(2_501);
    expect(lines[0]).toBe('email,이름,회사,번호,code');
  });

  test('a right mail has nothing wrong with it', () => {
    const { to, raw } = mailTo(17);
    expect(wrongMail(raw, RUN, to)).toBeNull();
    expect(wrongMail(raw, 'r2_2', to)).toContain('text/plain');
  });
});
