import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import { COLUMNS, PEOPLE, peopleCsv } from '../../examples/make-people.ts';
import { parseAddress } from '../../src/import/address.ts';
import { variables } from '../../src/message/template.ts';
import { textOf } from './markdown.ts';

const csv = textOf('examples/people.csv');
const people = parse(csv, { columns: true }) as Record<string, string>[];

test('people.csv is what make-people.ts makes', () => {
  expect(peopleCsv() === csv).toBe(true);
});

test('it holds exactly 10,000 people, a line each, in less than 1.5 MB', () => {
  expect(people).toHaveLength(10_000);
  expect(PEOPLE).toBe(10_000);
  expect(csv.split('\n')).toHaveLength(10_002);
  expect(Buffer.byteLength(csv)).toBeLessThan(1_500_000);
});

test('every address is valid, is there once, and is reserved (RFC 2606)', () => {
  const addresses = people.map((person) => parseAddress(person[COLUMNS[0]] ?? ''));
  const taken = addresses.flatMap((parsed) => (parsed.ok ? [parsed.address] : []));
  expect(new Set(taken.map((address) => address.toLowerCase())).size).toBe(10_000);
  expect(taken.filter((address) => !/@[a-z0-9-]+\.example\.(com|net|org)$/.test(address))).toEqual([]);
});

test('names are of many scripts', () => {
  const count = (script: string) =>
    people.filter(({ 이름 = '' }) => new RegExp(`\\p{Script=${script}}`, 'u').test(이름)).length;
  expect(count('Hangul')).toBeGreaterThan(6_000);
  for (const script of [
    'Latin',
    'Cyrillic',
    'Hiragana',
    'Han',
    'Arabic',
    'Hebrew',
    'Greek',
    'Thai',
    'Devanagari',
  ])
    expect(count(script), script).toBeGreaterThan(10);
  // Letters that CP949 has and KS X 1001 has not.
  expect(people.filter(({ 이름 = '' }) => /[똠뷁]/.test(이름)).length).toBeGreaterThan(10);
});

test('the template asks only for columns that are there, and offers a way out', () => {
  const html = textOf('examples/points.hbs');
  const used = variables({ subject: '', html, text: null, sender: '', replyTo: null, headers: {} });
  expect([...COLUMNS]).toEqual(expect.arrayContaining([...used.keys()]));
  expect(used.size).toBeGreaterThan(4);
  expect(html).toContain('unsubscribe/{{email}}');
});
