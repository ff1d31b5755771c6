import fc from 'fast-check';
import Handlebars from 'handlebars';
import { describe, expect, it } from 'vitest';
import { flatTemplate, flatten } from '../../src/message/flat-template.ts';
import { handlebarsTemplate } from '../../src/message/handlebars-template.ts';
import {
  escapeValue,
  type Row,
  renderText,
  type Template,
  Unrenderable,
} from '../../src/message/rendering.ts';
import { parseTemplate } from '../../src/message/syntax.ts';
import { compileTemplates, type MessageSource, variables } from '../../src/message/template.ts';
import { anyValue, flatTemplateSource, value, vars } from '../message/arbitraries.ts';

const source: MessageSource = {
  subject: 'Hello',
  html: null,
  text: 'Hello',
  sender: 'news@example.com',
  replyTo: null,
  headers: {},
};

function flat(text: string, escaping: 'html' | 'none' = 'html'): Template {
  const syntax = parseTemplate('html', text);
  const program = flatten(syntax, escaping);
  if (program === null) throw new Error(`not flat: ${text}`);
  return flatTemplate(program, 'html');
}

function outcome(template: Template, row: Row): { text: string } | { why: string } {
  try {
    return { text: renderText(template, row) };
  } catch (error) {
    if (error instanceof Unrenderable) return { why: error.message };
    throw error;
  }
}

const kim: Row = { address: 'kim@example.com', vars: { 이름: '김철수', '회사 이름': '<삼성>', empty: '' } };

describe('rendering', () => {
  it('takes Hangul names and names with spaces', () => {
    expect(renderText(flat('{{이름}} {{[회사 이름]}} {{"회사 이름"}}'), kim)).toBe(
      '김철수 &lt;삼성&gt; &lt;삼성&gt;',
    );
  });

  it('escapes html and nothing else', () => {
    const templates = compileTemplates({
      ...source,
      subject: '{{[회사 이름]}}',
      html: '{{[회사 이름]}}{{{[회사 이름]}}}',
      text: '{{[회사 이름]}}',
    });
    expect(renderText(templates.subject, kim)).toBe('<삼성>');
    expect(templates.html && renderText(templates.html, kim)).toBe('&lt;삼성&gt;<삼성>');
    expect(templates.text && renderText(templates.text, kim)).toBe('<삼성>');
  });

  it('knows the address as email', () => {
    expect(renderText(flat('{{email}}'), kim)).toBe('kim@example.com');
    expect(outcome(flat('{{email}}'), { ...kim, vars: { email: 'other@example.com' } })).toEqual({
      why: '"email" is both the recipient\'s address and a different column: rename the column',
    });
  });

  it('an empty cell is there; a lacking column, a null and an inherited name are not', () => {
    expect(renderText(flat('[{{empty}}]'), kim)).toBe('[]');
    for (const name of ['nmae', 'constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(outcome(flat(`{{${name}}}`), kim)).toEqual({ why: `missing variable "${name}" (in the html)` });
      const nested = handlebarsTemplate(parseTemplate('html', `{{#with this}}{{${name}}}{{/with}}`), 'html');
      expect(outcome(nested, kim)).toEqual({ why: `missing variable "${name}" (in the html)` });
    }
    expect(outcome(flat('{{a}}'), { ...kim, vars: { a: null } })).toEqual({
      why: 'missing variable "a" (in the html)',
    });
  });

  it('a misspelt column in a condition or a loop makes the row invalid', () => {
    for (const text of [
      '{{#if nmae}}a{{else}}b{{/if}}',
      '{{#each nmae}}a{{/each}}',
      '{{#with nmae}}a{{/with}}',
    ]) {
      const why = 'missing variable "nmae" (in the text)';
      const { text: template } = compileTemplates({ ...source, text });
      expect(template && outcome(template, kim)).toEqual({ why });
    }
  });

  it('renders lists and nested values', () => {
    const text =
      '{{#each items}}{{@index}}:{{this.name}}{{#unless @last}}, {{/unless}}{{/each}} {{customer.city}}';
    const { text: template } = compileTemplates({ ...source, text });
    const row = {
      address: 'a@b.c',
      vars: { items: [{ name: 'pen' }, { name: 'cup' }], customer: { city: '서울' } },
    };
    expect(template && outcome(template, row)).toEqual({ text: '0:pen, 1:cup 서울' });
    for (const [vars, name] of [
      [{ items: [{ name: 'pen' }], customer: {} }, 'customer.city'],
      [{ items: [{ name: 'pen' }], customer: 'x' }, ''],
      [{ items: [{}], customer: { city: '' } }, 'name'],
      [{ items: ['pen'], customer: { city: '' } }, ''],
    ] as const) {
      const why =
        name === ''
          ? expect.stringContaining('cannot be rendered')
          : `missing variable "${name}" (in the text)`;
      expect(template && outcome(template, { address: 'a@b.c', vars })).toEqual({ why });
    }
    const around = compileTemplates({
      ...source,
      text: '{{#each items}}{{@root.unit}}{{../unit}}{{/each}}',
    }).text;
    expect(around && outcome(around, { ...row, vars: { items: ['a'], unit: '원' } })).toEqual({
      text: '원원',
    });
    expect(around && outcome(around, row)).toEqual({ why: 'missing variable "unit" (in the text)' });
  });

  it('does not print a list or an object', () => {
    const row = { address: 'a@b.c', vars: { list: ['a'], object: {}, nested: [[{}]] } };
    for (const name of ['list', 'object', 'nested']) {
      expect(outcome(flat(`{{${name}}}`), row)).toHaveProperty('why');
      const nested = handlebarsTemplate(parseTemplate('html', `{{#with this}}{{${name}}}{{/with}}`), 'html');
      expect(outcome(nested, row)).toHaveProperty('why');
    }
  });

  it('stops loops that go on for too long', () => {
    const list = Array.from({ length: 300 }, (_, at) => `x${at}`);
    const loops = '{{#each l}}{{#each ../ll}}{{#each ../../lll}}x{{/each}}{{/each}}{{/each}}';
    const template = handlebarsTemplate(parseTemplate('html', loops), 'html');
    const row = { address: 'a@b.c', vars: { l: list, ll: list.map(() => ({})), lll: list.map(() => ({})) } };
    expect(outcome(template, row)).toEqual({ why: 'loops take more than 10000 turns (in the html)' });
    const wide = handlebarsTemplate(
      parseTemplate('html', `{{#each l}}${'x'.repeat(30_000)}{{/each}}`),
      'html',
    );
    expect(outcome(wide, row)).toEqual({ why: 'loops write more than 5000000 characters (in the html)' });
    // The budget is each row's own.
    expect(outcome(wide, { ...row, vars: { l: ['x'] } })).toEqual({ text: 'x'.repeat(30_000) });
  });

  it('refuses variables that are nested too deeply', () => {
    let nested: unknown = 'x';
    for (let level = 0; level < 5000; level++) nested = { a: nested };
    const template = handlebarsTemplate(parseTemplate('html', '{{a.a.a}}'), 'html');
    const deep = { address: 'a@b.c', vars: { a: nested } };
    expect(outcome(template, deep)).toHaveProperty(
      'why',
      expect.stringContaining('nested more than 20 levels'),
    );
  });
});

describe('the flat renderer', () => {
  it('gives the same text as Handlebars for every template that it takes', () => {
    const property = fc.property(
      flatTemplateSource,
      vars(value, true),
      fc.constantFrom('html', 'none'),
      (text, row, escaping) => {
        const stock = Handlebars.compile(text.replace(/\r\n?/g, '\n'), {
          strict: true,
          noEscape: escaping === 'none',
        });
        const context = Object.defineProperties(
          { email: 'kim@example.com' },
          Object.getOwnPropertyDescriptors(row),
        );
        const expected = stock(context);
        expect(
          renderText(flat(text, escaping as 'html' | 'none'), { address: 'kim@example.com', vars: row }),
        ).toBe(expected);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  it('agrees with our strict Handlebars about every JSON value and about what is missing', () => {
    const property = fc.property(flatTemplateSource, vars(anyValue, false), (text, vars) => {
      const row = { address: 'kim@example.com', vars };
      const ours = outcome(flat(text), row);
      const theirs = outcome(handlebarsTemplate(parseTemplate('html', text), 'html'), row);
      expect(theirs).toEqual(ours);
    });
    fc.assert(property, { numRuns: 500 });
  });

  it('percent-encodes what a URI in a header cannot hold', () => {
    const property = fc.property(fc.string({ unit: 'binary' }), (text) => {
      const escaped = escapeValue(text, 'uri');
      expect(escaped).toMatch(/^[!#-;=?-[\]_a-z~]*$/);
      if (!text.includes('%')) expect(decodeURIComponent(escaped)).toBe(text.toWellFormed());
    });
    fc.assert(property);
    expect(escapeValue('https://x.kr/?u=1&v=%41', 'uri')).toBe('https://x.kr/?u=1&v=%41');
  });
});

describe('mistakes in templates', () => {
  const cases: readonly [string, string, RegExp, RegExp][] = [
    ['unclosed braces', '<p>\n{{#if x}\n</p>', /html template is wrong on line 2: cannot read/, /braces/],
    ['mixed blocks', 'a\n{{#if x}}b{{/each}}', /on line 2: if doesn't match each/, /./],
    ['an open block', '{{#if x}}', /ends before every/, /./],
    ['a partial', '\n\n{{> footer}}', /on line 3: it includes another template/, /into this template/],
    ['a partial block', '{{#> footer}}x{{/footer}}', /includes another template/, /into this template/],
    ['a decorator', '{{* foo}}', /decorator/, /Remove/],
    ['a helper', '{{회사 이름}}', /no helper "회사"/, /\{\{\[회사 이름\]\}\}/],
    ['a helper with options', '{{name a=1}}', /no helper "name"/, /./],
    ['a sub-expression', '{{#if (eq a b)}}x{{/if}}', /wants a column, not SubExpression/, /./],
    ['a section', '{{#items}}x{{/items}}', /no block \{\{#items\}\}/, /#each items/],
    ['a raw block', '{{{{raw}}}}x{{{{/raw}}}}', /no block/, /./],
    ['log', '{{log}}', /word of the template language/, /this\.log/],
    ['lookup', '{{lookup a b}}', /no helper "lookup"/, /./],
    ['a bare if', '{{if}}', /has no block/, /this\.if/],
    ['if with two columns', '{{#if a b}}x{{/if}}', /exactly one column/, /./],
    ['if with nothing', '{{#if}}x{{/if}}', /exactly one column/, /./],
    ['an unknown option', '{{#if a foo=true}}x{{/if}}', /no option foo/, /./],
    ['an unknown @variable', '{{@foo}}', /no variable @foo/, /without @/],
    ['a named item', '{{#each a as |b|}}x{{/each}}', /name to its item/, /\.\.\/name/],
    [
      'deep loops',
      '{{#each a}}{{#each b}}{{#each c}}{{#each d}}x{{/each}}{{/each}}{{/each}}{{/each}}',
      /3 loops/,
      /./,
    ],
    ['deep blocks', `${'{{#if a}}'.repeat(50)}${'{{/if}}'.repeat(50)}`, /40 blocks/, /./],
  ];
  it.each(cases)('%s', (_name, html, message, hint) => {
    expect(() => compileTemplates({ ...source, html })).toThrow(
      expect.objectContaining({ message: expect.stringMatching(message), hint: expect.stringMatching(hint) }),
    );
  });

  it('names the part', () => {
    expect(() => compileTemplates({ ...source, subject: '{{' })).toThrow(/^The subject template/);
    expect(() => compileTemplates({ ...source, headers: { 'X-Tag': '{{' } })).toThrow(
      /^The header X-Tag template/,
    );
    expect(() => compileTemplates({ ...source, sender: '{{ <a@b.c>' })).toThrow(/^The sender template/);
  });

  it('wants a body', () => {
    expect(() => compileTemplates({ ...source, text: null })).toThrow(/neither html nor text/);
  });

  it('never throws anything but a SendstateError', () => {
    const soup = fc.array(
      fc.constantFrom(
        '{{',
        '}}',
        '{{{',
        '}}}',
        '#',
        '/',
        'if',
        ' ',
        'a',
        '.',
        '..',
        '[',
        ']',
        '"',
        '(',
        ')',
        '|',
        'as',
        '@',
        '=',
        '!',
        '>',
        '*',
        '~',
        '^',
        '\n',
        'each',
        'else',
        '{{{{',
        '}}}}',
        '\\',
      ),
      { maxLength: 12 },
    );
    const property = fc.property(soup, (tokens) => {
      try {
        const { text } = compileTemplates({ ...source, text: tokens.join('') });
        if (text !== null) outcome(text, kim);
      } catch (error) {
        expect(error).toHaveProperty('name', 'SendstateError');
      }
    });
    fc.assert(property, { numRuns: 2000 });
  });
});

describe('the columns that a campaign asks for', () => {
  it('lists them with the parts that use them', () => {
    const used = variables({
      subject: '{{이름}}',
      html: '{{이름}}{{#if vip}}{{email}}{{/if}}{{#each items}}{{price}}{{../unit}}{{@index}}{{@root.shop}}{{/each}}',
      text: '{{#with customer}}{{city}}{{../tag}}{{/with}}',
      sender: '{{shop}} <a@b.c>',
      replyTo: null,
      headers: { 'X-Tag': '{{tag}}' },
    });
    expect(Object.fromEntries(used)).toEqual({
      이름: ['subject', 'html'],
      vip: ['html'],
      items: ['html'],
      unit: ['html'],
      shop: ['sender', 'html'],
      customer: ['text'],
      tag: ['text', 'header X-Tag'],
    });
  });
});
