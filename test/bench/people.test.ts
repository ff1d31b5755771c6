import { describe, expect, it } from 'vitest';
import { peopleCsv, person, personAt, preBuilt, wrongIn } from '../../bench/speed-people.ts';

const raw = preBuilt();
const { address } = person(1);

/** The message with one place changed; fails when it is not there. */
function changed(from: string, to: string): Buffer {
  const text = raw.toString('latin1');
  expect(text).toContain(from);
  return Buffer.from(text.replace(from, to), 'latin1');
}

describe('the list', () => {
  it('knows its people by their address', () => {
    for (const number of [1, 99, 100, 50_000, 1_000_000])
      expect(personAt(person(number).address)).toEqual(person(number));
  });

  it('knows no other address', () => {
    for (const other of [
      'person1@mail2.example.com',
      'person01@mail1.example.com',
      'somebody@example.com',
      '',
    ])
      expect(personAt(other)).toBeNull();
  });

  it('is a CSV with a line for every person', async () => {
    let text = '';
    for await (const piece of peopleCsv(3_000)) text += piece.toString('utf8');
    const lines = text.split('\r\n');
    expect(lines).toHaveLength(3_002);
    expect(lines[0]).toBe('email,이름,회사,번호');
    expect(lines[3_000]).toContain(person(3_000).address);
    expect(new Set(lines).size).toBe(3_002);
  });
});

describe('the mail that is sent', () => {
  it('is about 2.5 KB', () => {
    expect(raw.length).toBeGreaterThan(2_200);
    expect(raw.length).toBeLessThan(2_800);
  });

  it('is right for its recipient and wrong for any other', () => {
    expect(wrongIn(raw, address)).toBeNull();
    expect(wrongIn(raw, person(2).address)).toContain('another text/plain');
    expect(wrongIn(raw, 'somebody@example.com')).toContain('not of the list');
  });

  it('is wrong when a letter is missing, in either body', () => {
    expect(wrongIn(changed('Please have it ready', 'Please ave it ready'), address)).toContain('text/plain');
    expect(wrongIn(changed('spring catalogue</b>', 'spring cataloge</b>'), address)).toContain('text/html');
  });

  it('is wrong when a part is missing', () => {
    expect(wrongIn(changed('text/html', 'text/other'), address)).toContain('0 parts of text/html');
    expect(wrongIn(Buffer.from('Subject: x\r\n\r\nno parts\r\n'), address)).toContain('0 parts');
  });
});
