import fc from 'fast-check';

/** Column names as they come out of CSVs. */
export const columns = ['name', '이름', '회사 이름', 'n', 'url', 'email_2', 'constructor', '__proto__'];

/** How a column is written in a template. */
export function reference(column: string): string {
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(column) ? column : `[${column}]`;
}

/** Text without braces, so that it is no template syntax; html, Hangul, emoji, long words and awkward lines in it. */
export const literal = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[a-zA-Z0-9 .,!?]{0,30}$/) },
  fc.stringMatching(/^[가-힣 ]{0,40}$/),
  fc.constantFrom(
    '\n',
    '\r\n',
    '\r',
    ' \n',
    '\t',
    '.\n.\n..\n',
    '\n.\n',
    'From me\n',
    '=20',
    '😀👨‍👩‍👧',
    'é',
    '  ',
    '\n\n\n',
  ),
  fc.constantFrom(
    '<p>',
    '</p>',
    '<br>',
    '<a href="https://example.com/?a=1&amp;b=2">',
    '</a>',
    '<h1>',
    '</h1>',
    '&nbsp;',
    '<td>',
  ),
  fc.constantFrom('x'.repeat(80), 'y'.repeat(1200), `${'word '.repeat(300)}`, '가'.repeat(400)),
);

/** A value that a row may hold. */
export const value = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[a-zA-Z0-9 .=_-]{0,20}$/) },
  fc.stringMatching(/^[가-힣]{1,5}$/),
  fc.constantFrom(
    '',
    ' ',
    '0',
    '<b>&"\'`=',
    '\r\nBcc: x@evil.example',
    '.\r\n',
    '\n.\n',
    '😀',
    'é'.repeat(50),
    '#top',
    '\u200b',
  ),
  fc.constantFrom(
    '=_',
    '--=_-',
    'z'.repeat(995),
    '가'.repeat(100),
    '=?utf-8?B?QQ==?=',
    'a  b',
    ' lead',
    'trail ',
    '\u202egnp',
  ),
);

/** Templates of what the flat renderer takes: text, columns, if / unless / else. */
export const flatTemplateSource: fc.Arbitrary<string> = fc.letrec<{ body: string; item: string }>((tie) => ({
  body: fc.array(tie('item'), { maxLength: 6 }).map((items) => items.join('')),
  item: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    literal,
    fc.constantFrom(...columns).map((column) => `{{${reference(column)}}}`),
    fc.constantFrom(...columns).map((column) => `{{{${reference(column)}}}}`),
    fc.constantFrom(
      '{{email}}',
      '{{this.name}}',
      '{{"n"}}',
      '{{! a comment }}',
      '{{~name~}}',
      '{{!-- }} --}}',
    ),
    fc
      .tuple(
        fc.constantFrom('if', 'unless'),
        fc.constantFrom(...columns),
        tie('body'),
        fc.option(tie('body')),
      )
      .map(([block, column, yes, no]) => {
        const other = no === null ? '' : `{{else}}${no}`;
        return `{{#${block} ${reference(column)}}}${yes}${other}{{/${block}}}`;
      }),
    fc
      .tuple(fc.constantFrom(...columns), fc.constantFrom(...columns), tie('body'), tie('body'))
      .map(
        ([a, b, yes, no]) => `{{#if ${reference(a)}}}\n${yes}\n{{else if ${reference(b)}}}\n${no}\n{{/if}}\n`,
      ),
  ),
})).body;

/** Any JSON that SQL may put into vars. */
export const anyValue = fc.oneof(
  { weight: 6, arbitrary: value },
  fc.constantFrom<unknown>(0, -0, 1, 1.5, true, false, null, [], ['a', 'b'], {}, { a: 'b' }),
);

export function vars<T>(of: fc.Arbitrary<T>, complete: boolean): fc.Arbitrary<Record<string, T>> {
  const entries = fc.tuple(
    ...columns.map((column) => fc.tuple(fc.constant(column), complete ? of : fc.option(of, { freq: 8 }))),
  );
  return entries.map((list) => {
    const row: Record<string, T> = Object.create(null);
    for (const [column, item] of list) if (item !== null || complete) row[column] = item as T;
    return row;
  });
}
