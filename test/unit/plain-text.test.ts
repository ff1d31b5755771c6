import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flatTemplate, flatten } from '../../src/message/flat-template.ts';
import { newConverter } from '../../src/message/html-converter.ts';
import { plainTextTemplate } from '../../src/message/plain-text.ts';
import { type Piece, type Row, renderText, Unrenderable } from '../../src/message/rendering.ts';
import { parseTemplate } from '../../src/message/syntax.ts';
import { compileTemplates } from '../../src/message/template.ts';
import { anyValue, flatTemplateSource, vars } from '../message/arbitraries.ts';

const convert = newConverter(() => undefined);

/** The text from the template, and from the rendered html; and whether the template's own text was used. */
function both(source: string, row: Row): { ours: string; theirs: string; shared: boolean } {
  const program = flatten(parseTemplate('html', source), 'html');
  if (program === null) throw new Error(`not flat: ${source}`);
  const html = flatTemplate(program, 'html');
  const template = plainTextTemplate(html, program);
  const pieces: Piece[] = [];
  const chunks = template.render(row, pieces);
  return {
    ours: renderText(template, row),
    theirs: convert(renderText(html, row)),
    shared: chunks.texts.length > 0,
  };
}

function textOf(source: string, vars: Row['vars'] = {}): string {
  const { ours, theirs } = both(source, { address: 'kim@example.com', vars });
  expect(ours).toBe(theirs);
  return ours;
}

describe('the text that is made from the html', () => {
  it('reads like a text', () => {
    const html = `<html><head><style>p { color: red }</style></head><body><h1>안녕 {{name}}</h1>
      <table><tr><td>Order</td><td>{{n}}</td></tr></table><ul><li>one</li><li>{{name}}</li></ul>
      <p>See <a href="https://example.com/{{n}}">your order</a> &amp; <img src="cid:x" alt="a picture">.</p></body></html>`;
    expect(textOf(html, { name: 'Kim <3', n: '7' })).toBe(
      '안녕 Kim <3\n\nOrder\n7\n\n * one\n * Kim <3\n\nSee your order [https://example.com/7] & a picture.',
    );
  });

  it('says a link once when its text is its address', () => {
    const source =
      '<a href="{{url}}">{{shown}}</a> <a href="mailto:{{email}}">{{email}}</a> <a href="#top">up</a>';
    expect(textOf(source, { url: 'https://a.b', shown: 'https://a.b' })).toBe(
      'https://a.b kim@example.com up',
    );
    expect(textOf(source, { url: 'https://a.b', shown: 'here' })).toBe(
      'here [https://a.b] kim@example.com up',
    );
    expect(textOf(source, { url: '#x', shown: 'here' })).toBe('here kim@example.com up');
  });

  it('is converted once for every recipient where values cannot matter', () => {
    const row = (vars: Row['vars']): Row => ({ address: 'kim@example.com', vars });
    const simple =
      '<p>안녕 {{name}} {{#if n}}<b>{{n}}</b>{{else}}nothing{{/if}}, <a href="{{url}}">here</a></p>';
    for (const vars of [
      { name: '김철수', n: '1', url: 'https://x.kr/?a=1&b=2' },
      { name: '', n: '', url: '' },
      { name: 'A & B', n: '0', url: 'u' },
    ]) {
      expect(both(simple, row(vars))).toMatchObject({ shared: true });
    }
    for (const [source, value] of [
      ['<p>{{v}}</p>', 'two  spaces'],
      ['<p>{{v}}</p>', ' lead'],
      ['<p>{{{v}}}</p>', '<br>'],
      ['<p>{{{v}}}</p>', '&amp;'],
      ['<{{v}}>x</{{v}}>', 'h1'],
      ['<ol start="{{v}}"><li>x</li></ol>', '5'],
      ['<ol type="{{v}}"><li>x</li></ol>', 'A'],
      ['<p {{v}}>x</p>', 'hidden'],
      ['<!-- {{v}} --><p>x</p>', 'y'],
      ['x &{{v}}; y', 'amp'],
      ['x &#{{v}}; y', '65'],
      ['<a href="https://x/{{v}}">https://x/5</a>', '5'],
      ['<xmp>{{v}}</xmp>', 'a&b'],
    ] as const) {
      const { ours, theirs, shared } = both(source, row({ v: value }));
      expect({ source, ours, shared }).toEqual({ source, ours: theirs, shared: false });
    }
  });

  it('is the same text as that of the rendered html, for any template and any values', () => {
    const property = fc.property(
      flatTemplateSource,
      vars(anyValue, false),
      vars(anyValue, false),
      (source, one, other) => {
        for (const vars of [one, other]) {
          try {
            const { ours, theirs } = both(source, { address: 'kim@example.com', vars });
            expect(ours).toBe(theirs);
          } catch (error) {
            if (!(error instanceof Unrenderable)) throw error;
          }
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it('stays right beyond the number of patterns that are remembered', () => {
    const names = Array.from({ length: 10 }, (_, at) => `v${at}`);
    const source = `<p>${names.map((name) => `[{{${name}}}]`).join(' ')}</p>`;
    const program = flatten(parseTemplate('html', source), 'html');
    if (program === null) throw new Error('not flat');
    const template = plainTextTemplate(flatTemplate(program, 'html'), program);
    for (let pattern = 0; pattern < 1024; pattern++) {
      const vars = Object.fromEntries(names.map((name, at) => [name, pattern & (1 << at) ? 'x' : '']));
      const expected = names.map((name) => `[${vars[name]}]`).join(' ');
      expect(renderText(template, { address: 'a@b.c', vars })).toBe(expected);
    }
  });

  it('follows loops', () => {
    const html = '<ul>{{#each items}}<li>{{this}}</li>{{/each}}</ul>';
    const source = { subject: '', html, text: null, sender: 'a@b.c', replyTo: null, headers: {} };
    const { text } = compileTemplates(source);
    expect(text && renderText(text, { address: 'a@b.c', vars: { items: ['x', '<y>'] } })).toBe(
      ' * x\n * <y>',
    );
  });
});
