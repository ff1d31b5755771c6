/**
 * What composing one mail costs: ours against nodemailer's MailComposer, in one run, one process.
 *
 *   node bench/compose.ts [--mails 200000] [--json]
 *
 * The last line of --json is {"microseconds":{…},"mailComposer":…,"ratio":…}. Compare ratios between machines, not microseconds.
 */
import { parseArgs } from 'node:util';
import Handlebars from 'handlebars';
import MailComposer from 'nodemailer/lib/mail-composer';
import { compileMessage, type MessageRecipient } from '../src/message/compose.ts';
import type { MessageSource } from '../src/message/template.ts';

const { values } = parseArgs({
  options: { mails: { type: 'string', default: '200000' }, json: { type: 'boolean', default: false } },
});
const mails = Number(values.mails);

const sentence =
  'The spring catalogue is here, with everything that you asked for and some things that you did not. ';
const english: MessageSource = {
  subject: 'Hello {{name}}, your order {{order}} is ready',
  html: `<!doctype html><html><body><p>Dear {{name}},</p>\n${`<p>${sentence}</p>\n`.repeat(13)}<p>Your order <b>{{order}}</b> of {{date}} will be sent to {{city}}.</p>\n<p><a href="https://example.com/unsubscribe?u={{token}}">Unsubscribe</a></p></body></html>\n`,
  text: `Dear {{name}},\n\n${`${sentence.slice(0, 70)}\n`.repeat(11)}\nYour order {{order}} of {{date}} will be sent to {{city}}.\nhttps://example.com/unsubscribe?u={{token}}\n`,
  sender: 'Example News <news@example.com>',
  replyTo: null,
  headers: {
    'List-Unsubscribe': '<https://example.com/unsubscribe?u={{token}}>',
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  },
};
const 문장 = '봄 상품 안내를 보내 드립니다. 문의하신 내용과 함께 새로운 소식도 담았습니다. ';
const korean: MessageSource = {
  ...english,
  subject: '{{name}}님, 주문 {{order}}이 준비되었습니다',
  html: `<!doctype html><html><body><p>{{name}}님,</p>\n${`<p>${문장}</p>\n`.repeat(13)}<p>주문 <b>{{order}}</b> ({{date}}) {{city}}로 보내 드립니다.</p>\n<p><a href="https://example.com/unsubscribe?u={{token}}">수신 거부</a></p></body></html>\n`,
  text: `{{name}}님,\n\n${`${문장}\n`.repeat(8)}\n주문 {{order}} ({{date}}) {{city}}로 보내 드립니다.\nhttps://example.com/unsubscribe?u={{token}}\n`,
};

function recipients(name: (at: number) => string): MessageRecipient[] {
  return Array.from({ length: 1000 }, (_, at) => ({
    recipientId: at + 1,
    address: `person${at}@example.org`,
    vars: {
      name: name(at),
      order: `A-${10_000 + at}`,
      date: '2026-03-01',
      city: at % 2 ? 'Seoul' : 'Busan',
      token: `t${at * 7919}`,
    },
  }));
}

const latin = recipients((at) => `Kim Number${at}`);
const hangul = recipients((at) => `김철수${at}`);

function microseconds(count: number, once: (at: number) => void): number {
  const start = process.hrtime.bigint();
  for (let at = 0; at < count; at++) once(at);
  return Number(process.hrtime.bigint() - start) / 1000 / count;
}

function ours(source: MessageSource, people: readonly MessageRecipient[]): number {
  const composer = compileMessage({
    campaignId: 1,
    source,
    attachments: [],
    bounceTo: null,
    messageIdDomain: null,
  });
  let bytes = 0;
  const once = (at: number): void => {
    const mail = composer.compose(people[at % people.length] as MessageRecipient);
    if ('kind' in mail) throw new Error(mail.why);
    bytes += mail.raw.length;
  };
  microseconds(20_000, once);
  const runs = Array.from({ length: 5 }, () => microseconds(mails / 5, once)).sort((a, b) => a - b);
  say(`  ${Math.round(bytes / (20_000 + mails))} bytes a mail`);
  return runs[2] as number;
}

async function mailComposer(source: MessageSource, people: readonly MessageRecipient[]): Promise<number> {
  const subject = Handlebars.compile(source.subject, { strict: true, noEscape: true });
  const html = Handlebars.compile(source.html, { strict: true });
  const text = Handlebars.compile(source.text, { strict: true, noEscape: true });
  const list = Handlebars.compile(source.headers['List-Unsubscribe'], { strict: true, noEscape: true });
  const count = Math.max(1000, Math.round(mails / 50));
  const once = async (at: number): Promise<void> => {
    const { address, vars } = people[at % people.length] as MessageRecipient;
    await new MailComposer({
      from: source.sender,
      to: address,
      subject: subject(vars),
      html: html(vars),
      text: text(vars),
      headers: { ...source.headers, 'List-Unsubscribe': list(vars) },
    })
      .compile()
      .build();
  };
  for (let at = 0; at < count / 2; at++) await once(at);
  const start = process.hrtime.bigint();
  for (let at = 0; at < count; at++) await once(at);
  return Number(process.hrtime.bigint() - start) / 1000 / count;
}

const say = (line: string): void => void (values.json || process.stdout.write(`${line}\n`));

const result: Record<string, number> = {};
const cases: readonly [string, MessageSource, readonly MessageRecipient[]][] = [
  ['text and html', english, latin],
  ['text and html, Hangul', korean, hangul],
  ['English with Hangul names', english, hangul],
  ['html, text made from it', { ...english, text: null }, latin],
  [
    'a loop (Handlebars itself)',
    { ...english, text: `${english.text}{{#each vars}}{{this}}{{/each}}` },
    latin.map((one) => ({ ...one, vars: { ...one.vars, vars: [1, 2] } })),
  ],
];
for (const [name, source, people] of cases) {
  say(name);
  result[name] = Number(ours(source, people).toFixed(2));
  say(`  ${result[name]} µs`);
}
const theirs = Number((await mailComposer(english, latin)).toFixed(1));
const ratio = Number((theirs / (result['text and html'] as number)).toFixed(1));
say(`MailComposer, text and html\n  ${theirs} µs: ${ratio} times ours`);
if (values.json)
  process.stdout.write(`${JSON.stringify({ microseconds: result, mailComposer: theirs, ratio })}\n`);
