import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import { type ColumnOptions, readColumns } from '../../src/import/columns.ts';

function failure(header: readonly string[], options: ColumnOptions = {}): SendstateError {
  try {
    readColumns(header, { fileName: 'people.csv', ...options });
  } catch (error) {
    if (error instanceof SendstateError) return error;
    throw error;
  }
  throw new Error('the header was taken');
}

describe('the address column', () => {
  test.each([
    'email',
    'E-Mail',
    ' EMAIL ',
    'e_mail',
    'mail',
    'Email Address',
    'email-address',
    'Ｅｍａｉｌ',
    '이메일',
    '이메일 주소',
    '메일',
    '메일주소',
    '전자우편',
    '이메일'.normalize('NFD'),
  ])('is found by its name: %s', (name) => {
    expect(readColumns(['이름', name, 'code']).addressIndex).toBe(1);
  });

  test('can be said, in the case and spacing of the file or not', () => {
    expect(readColumns(['mail', 'Kontakt  1'], { map: { email: 'kontakt 1' } })).toEqual({
      names: ['mail', 'Kontakt 1'],
      addressIndex: 1,
    });
  });

  test('that is missing or doubtful is asked for', () => {
    expect(failure(['name', 'phone'])).toMatchObject({ code: 'csv-address-column' });
    expect(failure(['name', 'phone']).hint).toContain('name, phone');
    expect(failure(['kim@x.kr', 'Kim']).hint).toContain('seems to be data');
    expect(failure(['email', '메일']).hint).toContain('--map email="email"');
    expect(failure(['a', 'b'], { map: { email: 'c' } })).toMatchObject({ code: 'csv-map' });
  });
});

describe('variables', () => {
  test('keep their names, trimmed, in one piece of Hangul', () => {
    const { names } = readColumns([' 이름 '.normalize('NFD'), 'email', 'Order\n No']);
    expect(names).toEqual(['이름', 'email', 'Order No']);
  });

  test('can be renamed', () => {
    expect(readColumns(['email', '성함'], { map: { name: '성함' } }).names).toEqual(['email', 'name']);
    expect(failure(['email', '성함', 'name'], { map: { name: '성함' } }).code).toBe('csv-map');
    // {{email}} is the address in every template; a column of that name would make each of its rows invalid.
    const taken = failure(['Kontakt', 'email'], { map: { email: 'Kontakt' } });
    expect(taken).toMatchObject({
      code: 'csv-map',
      hint: expect.stringContaining('--map other_email=email'),
    });
    expect(
      readColumns(['Kontakt', 'email'], { map: { email: 'Kontakt', other_email: 'email' } }).names,
    ).toEqual(['Kontakt', 'other_email']);
  });

  test.each([
    [['email', ''], 'column 2 has no name'],
    [['email', 'a', ' a'], 'column 3 has the same name as column 2'],
    [['e\0m\0a\0i\0l', 'b'], 'control characters'],
  ])('that cannot be told apart are refused: %j', (header, words) => {
    const error = failure(header);
    expect(error.code).toBe('csv-columns');
    expect(error.message).toContain(words);
    expect(error.message).toContain('people.csv');
  });

  test('whatever the first row holds, it is understood or refused with a hint', () => {
    const name = fc.oneof(fc.string(), fc.constantFrom('email', '__proto__', 'constructor', 'mail'));
    fc.assert(
      fc.property(
        fc.array(name, { minLength: 1, maxLength: 6 }),
        fc.dictionary(name, name, { maxKeys: 2 }),
        (header, map) => {
          try {
            const { names, addressIndex } = readColumns(header, { map });
            expect(names).toHaveLength(header.length);
            expect(names[addressIndex]).toBeDefined();
          } catch (error) {
            if (!(error instanceof SendstateError)) throw error;
            expect(error.hint).toBeTruthy();
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
