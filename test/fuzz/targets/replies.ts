import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ReplyError, ReplyParser } from '../../../src/smtp/reply.ts';
import { MAX_REPLY_TEXT } from '../../../src/smtp/reply-text.ts';
import { propertyOf, type Target } from '../target.ts';
import { cutAt, cuts } from './csv-bytes.ts';
import { anyBytes } from './hostile-text.ts';

const LIMITS = { maxLineBytes: 64, maxLines: 4 };

const piece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('250 ok\r\n', '250-a\r\n', '250\n', '354 go\r\n', '421 4.3.2 x\r\n'),
  },
  fc.constantFrom(
    '550 5.1.1 no\r\n',
    '550-5.1.1 no\r\n',
    '550 4.1.1 no\r\n',
    '\r',
    '\n',
    '\r\n',
    '\0',
    ' ',
    '-',
  ),
  fc.constantFrom('2', '25', '250', '999', '199', '600', '2५0', '250_', '\x1b[2J', '\u009b', 'x'.repeat(70)),
  anyBytes,
);
const stream = fc.array(piece, { maxLength: 12 }).map((all) => Buffer.from(all.join(''), 'latin1'));

type Said = { readonly code: number; readonly lines: readonly string[] } | 'no reply';

function parsed(pieces: readonly Buffer[]): Said[] {
  const parser = new ReplyParser(LIMITS);
  const said: Said[] = [];
  try {
    for (const bytes of pieces) {
      parser.push(bytes);
      while (parser.next()) {
        const { text, enhanced, code } = parser.reply();
        assert.ok(text.length <= MAX_REPLY_TEXT && !/[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u.test(text));
        assert.ok(enhanced === null || enhanced.startsWith(`${Math.floor(code / 100)}.`));
        said.push({ code, lines: parser.lines() });
      }
      assert.ok(parser.pending <= LIMITS.maxLines * LIMITS.maxLineBytes, 'what waits is bounded');
    }
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    assert.ok(error.message.length < 200 && !/\p{Cc}/u.test(error.message));
    said.push('no reply');
  }
  return said;
}

/** The same, in the plainest way. */
function expected(bytes: Buffer): Said[] {
  const said: Said[] = [];
  const lines = bytes.toString('latin1').split('\n');
  const rest = lines.pop() ?? '';
  let code = 0;
  let texts: string[] = [];
  for (const line of lines) {
    const found = /^([2-5]\d\d)(?:([ -])([\s\S]*?))?\r?$/.exec(line);
    const same = found !== null && (code === 0 || code === Number(found[1]));
    if (!same || line.length + 1 > LIMITS.maxLineBytes || line.includes('\0')) return [...said, 'no reply'];
    code = Number(found[1]);
    texts.push(found[3] ?? '');
    if (found[2] === '-') {
      if (texts.length >= LIMITS.maxLines) return [...said, 'no reply'];
      continue;
    }
    said.push({ code, lines: texts });
    [code, texts] = [0, []];
  }
  return rest.length > LIMITS.maxLineBytes ? [...said, 'no reply'] : said;
}

export const replies: Target = {
  name: 'replies',
  promise: 'any bytes of a relay are the same replies, or none, however they are cut',
  cases: 1_500,
  start: async () => ({
    property: propertyOf(fc.record({ bytes: stream, at: cuts }), ({ bytes, at }) => {
      const whole = parsed([bytes]);
      assert.deepEqual(parsed(cutAt(bytes, at)), whole);
      assert.deepEqual(parsed([...bytes].map((byte) => Buffer.from([byte]))), whole);
      // Texts are Latin-1 where they are not UTF-8; here only where they end matters.
      const shape = (said: Said[]) =>
        said.map((one) => (one === 'no reply' ? one : [one.code, one.lines.length]));
      assert.deepEqual(shape(whole), shape(expected(bytes)));
    }),
  }),
};
