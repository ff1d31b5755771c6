import { parseEnv } from 'node:util';
import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { checkName } from '../../src/campaigns/campaigns.ts';
import { pathOf } from '../../src/capture/capture-message.ts';
import { integer, pair, rate, seconds, time } from '../../src/commands/options.ts';
import { checkDatabaseUrl } from '../../src/database/connect.ts';
import { SendstateError, withoutPassword } from '../../src/errors.ts';
import { parseAddress } from '../../src/import/address.ts';
import { readColumns } from '../../src/import/columns.ts';
import { CsvReader } from '../../src/import/csv.ts';
import { byteOrderMark, encodingName, InvalidBytes, StrictDecoder } from '../../src/import/decode.ts';
import { findDelimiter } from '../../src/import/delimiter.ts';
import { rejectRow } from '../../src/import/rejects.ts';
import { encodedWords, headerNameProblem, oneLine, unstructured } from '../../src/message/headers.ts';
import { mailbox, readAddress } from '../../src/message/mailbox.ts';
import { escapeValue } from '../../src/message/rendering.ts';
import { parseTemplate } from '../../src/message/syntax.ts';
import { type CompiledTemplates, compileTemplates } from '../../src/message/template.ts';
import { printable } from '../../src/report/format.ts';
import { classify } from '../../src/smtp/classify.ts';
import { redacted } from '../../src/smtp/redact.ts';
import { parseRelays } from '../../src/smtp/relay.ts';
import { parseReply, ReplyError, ReplyParser } from '../../src/smtp/reply.ts';
import { cleanText, makeReply } from '../../src/smtp/reply-text.ts';
import { reasonOf } from '../../src/worker/retry.ts';
import { cpuMs } from './work.ts';

/** Repeated, each is the worst case of some pattern: nearly matching, over and over. */
const UNITS = [
  ...[
    'a',
    ' ',
    '\t',
    '\n',
    '\r',
    '\r\n',
    '.',
    'a.',
    '-',
    'a-',
    '@',
    'a@',
    '<',
    '<a',
    '>',
    '<>',
    '"',
    '""',
    '\\',
    '\\"',
  ],
  ...[
    '{{',
    '}}',
    '{{a',
    '{{!',
    '{{!--',
    '{{#if a}}',
    '{{a}}',
    '{',
    '&',
    '&amp;',
    '=?',
    '=?utf-8?B?',
    '=',
    '(',
    '()',
    ',',
  ],
  ...[
    ':',
    ';',
    '0',
    '1a',
    '250 ',
    '250-\r\n',
    'http://',
    'a b ',
    '김',
    '\u200b',
    '\u0301',
    '\ud83d',
    '😀',
    '\u202e',
    '\0',
  ],
  ...[
    '/',
    '?',
    '#',
    '%',
    '%a',
    'a=',
    '&a=',
    "'",
    'xn--',
    'gr',
    'rate ',
    'a:',
    'sep=',
    'e\u0301',
    '\u1100\u1161',
    '\ufdfa',
  ],
];

const decoder = (encoding: string | null) => (text: string) => {
  const decoding = new StrictDecoder(encoding);
  for (let at = 0; at < text.length; at += 4096) decoding.decode(Buffer.from(text.slice(at, at + 4096)));
  decoding.end();
};
const source = { subject: 's', html: null, text: 't', sender: 'a@b.c', replyTo: null, headers: {} };
const compiled = (more: object) => compileTemplates({ ...source, ...more }) satisfies CompiledTemplates;

/** Everything that reads text from outside, each as its callers call it. */
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  parseAddress,
  'parseAddress, in a domain': (text) => parseAddress(`a@${text}.kr`),
  readAddress,
  oneLine,
  printable,
  encodingName,
  withoutPassword,
  checkDatabaseUrl: (text) => checkDatabaseUrl(`postgres://${text}`),
  parseRelays: (text) => parseRelays(`smtp://${text}`),
  'parseRelays, options': (text) => parseRelays(`smtp://h?name=${text}`),
  checkName,
  headerNameProblem,
  unstructured: (text) => unstructured('Subject', text),
  'unstructured, URIs': (text) => unstructured('List-Unsubscribe', text),
  encodedWords: (text) => encodedWords(text, 60),
  mailbox: (text) => mailbox(text, 'a@b.c', 4),
  'escapeValue, html': (text) => escapeValue(text, 'html'),
  'escapeValue, uri': (text) => escapeValue(text, 'uri'),
  parseTemplate: (text) => parseTemplate('html', text),
  'the sender': (text) => compiled({ sender: text }),
  'the sender, with a name': (text) => compiled({ sender: `${text} <a@b.c>` }),
  'the sender, with a column': (text) => compiled({ sender: `${text} {{a}} <a@b.c>` }),
  'reply-to': (text) => compiled({ replyTo: text }),
  readColumns: (text) => readColumns([text, 'email']),
  'readColumns, many': (text) => readColumns(text.slice(0, 1_000).split('')),
  findDelimiter: (text) => findDelimiter(text, true, () => false),
  rejectRow: (text) => rejectRow({ line: 1, reason: 'x', original: text }),
  CsvReader: (text) => new CsvReader({ delimiter: ',' }).push(text),
  'CsvReader, in drops': (text) => {
    const reader = new CsvReader({ delimiter: ',' });
    for (let at = 0; at < text.length; at += 16) reader.push(text.slice(at, at + 16));
  },
  'StrictDecoder, undecided': decoder(null),
  'StrictDecoder, cp949': decoder('cp949'),
  'StrictDecoder, utf-8': decoder('utf-8'),
  byteOrderMark: (text) => byteOrderMark(Buffer.from(text)),
  cleanText,
  makeReply: (text) => makeReply(550, [text, text]),
  parseReply: (text) => parseReply(`250 ${text}`),
  'ReplyParser, in drops': (text) => {
    const parser = new ReplyParser({ maxLineBytes: 1e9, maxLines: 1e9 });
    for (let at = 0; at < text.length; at += 16) {
      parser.push(Buffer.from(text.slice(at, at + 16)));
      while (parser.next());
    }
  },
  classify: (text) =>
    classify({ kind: 'replied', stage: 'rcpt', reply: { code: 450, enhanced: null, text } }),
  reasonOf: (text) => reasonOf(550, text),
  redacted: (text) => redacted(text.slice(0, 10_000), [text.slice(0, 600), 'aaaaaaaaaaaaaaaaaaab']),
  pathOf: (text) => pathOf(`MAIL FROM:${text}`, 'MAIL'),
  parseEnv,
  integer: integer(1, 9),
  rate,
  seconds,
  time,
  pair: (text) => pair('=')(text),
};

function attempt(read: (text: string) => unknown, text: string): void {
  try {
    read(text);
  } catch (error) {
    // A refusal is an answer too; commander's and the decoder's are their own.
    const known = [SendstateError, ReplyError, InvalidBytes, CommanderError];
    if (!known.some((kind) => error instanceof kind)) throw error;
  }
}

/** Linear work on 40,000 characters takes a few milliseconds, quadratic work seconds. Milliseconds of processor time. */
const GENEROUS = 500;

test.each(Object.entries(READERS))('%s takes time in proportion to what it reads', (_, read) => {
  const slow: string[] = [];
  for (const unit of UNITS) {
    // What follows makes a pattern that matched so far begin anew.
    const hostile = `${unit.repeat(Math.ceil(40_000 / unit.length))}\u0001`;
    const ms = cpuMs(() => attempt(read, hostile), 1);
    if (ms > GENEROUS && cpuMs(() => attempt(read, hostile)) > GENEROUS) slow.push(JSON.stringify(unit));
  }
  expect(slow).toEqual([]);
});
