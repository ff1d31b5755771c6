import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SendstateError } from '../../../src/errors.ts';
import { type Composer, compileMessage } from '../../../src/message/compose.ts';
import { propertyOf, type Target } from '../target.ts';
import { hostileText } from './hostile-text.ts';

const path = fc.oneof(
  fc.constantFrom(
    'v',
    'w',
    'email',
    'list',
    'thing',
    'this',
    '.',
    '..',
    '../v',
    '../../../v',
    'this.v',
    'thing.a',
  ),
  fc.constantFrom(
    'constructor',
    '__proto__',
    'constructor.constructor',
    'this.constructor',
    'thing.constructor',
  ),
  fc.constantFrom(
    'list.constructor',
    'list.map',
    'list.length',
    'v.length',
    'v.constructor',
    'toString',
    '[__proto__]',
  ),
  fc.constantFrom(
    'thing.__proto__.polluted',
    'hasOwnProperty',
    '__defineGetter__',
    '__lookupGetter__',
    'valueOf',
  ),
  fc.constantFrom(
    '@root',
    '@root.v',
    '@root.constructor',
    '@index',
    '@key',
    '@first',
    '@level',
    '@process',
    '@root.__proto__',
  ),
  fc.constantFrom(
    'process',
    'globalThis',
    'require',
    'global.process',
    'process.env',
    '\u0000print',
    '[\u0000print]',
  ),
  fc.constantFrom(
    '"v"',
    '1',
    'true',
    'null',
    'undefined',
    '[a b]',
    '[]',
    '(v)',
    '(lookup . "v")',
    'lookup',
    'log',
  ),
);
const word = fc.oneof(
  path,
  fc.constantFrom(
    'if',
    'unless',
    'each',
    'with',
    'else',
    'as |x|',
    '=',
    'a=1',
    'includeZero=true',
    '>',
    '*',
    '&',
    '~',
  ),
);
const tag = fc
  .tuple(
    fc.constantFrom(
      '{{',
      '{{{',
      '{{#',
      '{{/',
      '{{^',
      '{{>',
      '{{*',
      '{{#>',
      '{{#*',
      '{{!',
      '{{!--',
      '{{~',
      '{{&',
      '\\{{',
      '{{{{',
    ),
    fc.array(word, { maxLength: 3 }).map((words) => words.join(' ')),
    fc.constantFrom('}}', '}}', '}}', '}}}', '--}}', '~}}', '}}}}', '}', ''),
  )
  .map((parts) => parts.join(''));
const source: fc.Arbitrary<string> = fc.letrec<{ body: string; item: string }>((tie) => ({
  body: fc.array(tie('item'), { maxLength: 5 }).map((items) => items.join('')),
  item: fc.oneof(
    { depthSize: 'small' },
    fc.stringMatching(/^[a-z <>/\n]{0,12}$/),
    path.map((name) => `{{${name}}}`),
    fc
      .tuple(fc.constantFrom('if', 'unless', 'each', 'with'), path, tie('body'), tie('body'))
      .map(([block, name, yes, no]) => `{{#${block} ${name}}}${yes}{{else}}${no}{{/${block}}}`),
    tag,
    hostileText,
  ),
})).body;

const CANARY = 'canary-of-the-process-environment';
/** What only leaks out of a template that reached something of the language instead of the row. */
const REACHED = /\[native code\]|\[object |\bfunction\b\s*\w*\(|canary-of/;

const vars = JSON.parse(
  '{"v":"<b>1</b>","w":"","a b":"2","list":["x",{"a":"y"},null,["z"]],"thing":{"a":"3","__proto__":{"polluted":"own"}},"__proto__":"mine"}',
) as Record<string, unknown>;

function compiled(template: string): Composer | null {
  try {
    return compileMessage({
      campaignId: 1,
      bounceTo: null,
      messageIdDomain: null,
      attachments: [],
      source: {
        subject: 'x',
        html: template,
        text: template,
        sender: 'a@b.c',
        replyTo: null,
        headers: { 'X-Tag': template },
      },
    });
  } catch (error) {
    if (!(error instanceof SendstateError)) throw error;
    assert.ok(error.hint, 'what to do is said');
    assert.ok(error.message.length < 2_000);
    assert.equal(error.code, 'template-syntax');
    assert.match(error.message, /^The html template is wrong on line \d+: \S/);
    return null;
  }
}

function check(template: string): void {
  const composer = compiled(template);
  if (composer !== null) {
    for (const row of [vars, {}, { v: 'a', w: 'b' }, Object.create(null)]) {
      const made = composer.compose({ recipientId: 1, address: 'kim@example.com', vars: row });
      const words = 'kind' in made ? made.why : made.raw.toString();
      // A template may say so itself; what it says is not what it reached.
      if (!REACHED.test(template)) assert.doesNotMatch(words, REACHED);
      assert.ok(!('kind' in made) || made.why.length > 0);
    }
  }
  assert.deepEqual(Object.keys(Object.prototype), []);
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
}

export const templates: Target = {
  name: 'templates',
  promise: 'any text is a template or a mistake on a named line, and reaches the row and nothing else',
  cases: 500,
  start: async () => {
    process.env.SENDSTATE_FUZZ_CANARY = CANARY;
    return {
      property: propertyOf(source, check),
      end: async () => {
        delete process.env.SENDSTATE_FUZZ_CANARY;
      },
    };
  },
};
