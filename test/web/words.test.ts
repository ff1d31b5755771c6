import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { RETRYABLE } from '../../src/model/states.ts';
import { PROBLEMS, problemIn } from '../../src/web/problem-words.ts';
import { LANGUAGES, languageOf, say, WORDS, type Word } from '../../src/web/words.ts';
import { ROOT, textOf } from '../docs/markdown.ts';

const words = Object.entries(WORDS) as [Word, readonly string[]][];
const placesIn = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test('every word is there in every language, with the same places to fill in', () => {
  for (const [word, texts] of words) {
    expect(texts, word).toHaveLength(LANGUAGES.length);
    for (const text of texts) {
      expect(text.trim(), word).not.toBe('');
      expect(placesIn(text), word).toEqual(placesIn(texts[0] ?? ''));
    }
  }
});

test('Korean words are Korean', () => {
  const latin = words
    .filter(([, [, korean = '']]) => !/\p{Script=Hangul}/u.test(korean))
    .map(([word]) => word);
  expect(latin).toEqual(['title']);
});

const web = path.join(ROOT, 'src', 'web');
const sources = readdirSync(web, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(ts|js)$/.test(file) && !/words\.ts$/.test(file))
  .map((file) => textOf(path.join('src', 'web', file)));

test('every word that the page asks for is in the table, and no word is there for nothing', () => {
  const asked = new Set(
    sources.flatMap((text) => [...text.matchAll(/\bt\('(\w+)'/g)].map(([, word]) => word)),
  );
  expect(asked.size).toBeGreaterThan(40);
  expect([...asked].filter((word) => word === undefined || !(word in WORDS))).toEqual([]);
  const all = sources.join('\n');
  const unused = words.filter(([word]) => !new RegExp(`['"\\s{]${word}['",:\\s]`).test(all));
  expect(unused.map(([word]) => word)).toEqual([]);
});

/** Where errors come from that a page may show. */
const SOURCES = [
  'src/campaigns/life.ts',
  'src/database/connect.ts',
  'src/database/migrate.ts',
  'src/database/problems.ts',
  'src/api/lifecycle.ts',
  'src/api/recipients.ts',
  'src/api/mails.ts',
  ...readdirSync(web)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `src/web/${file}`),
];
/** What keeps the server from starting is said on the command line. */
const AT_THE_START = ['database-url', 'web-port', 'web-token'];

test('what goes wrong on a page has Korean words, and nothing else has', () => {
  const codes = SOURCES.filter((file) => !file.endsWith('problem-words.ts')).flatMap((file) =>
    [...textOf(file).matchAll(/'((web|database|schema|campaign|recipient|message)-[a-z-]+)'/g)].map(
      ([, code]) => code as string,
    ),
  );
  const known = new Set([...codes, 'campaign-unknown', 'unexpected']);
  for (const code of AT_THE_START) known.delete(code);
  expect(Object.keys(PROBLEMS).sort()).toEqual([...known].sort());
  for (const text of Object.values(PROBLEMS)) expect(text).toMatch(/\p{Script=Hangul}/u);
});

test('what has no words in a language keeps its own', () => {
  const problem = { code: 'web-masked', message: 'There is none', hint: 'Do this' };
  expect(problemIn('en', problem)).toEqual({ message: 'There is none', hint: 'Do this' });
  expect(problemIn('ko', problem)).toEqual({ message: PROBLEMS['web-masked'], hint: null });
  expect(problemIn('ko', { ...problem, code: 'new' })).toEqual({ message: 'There is none', hint: 'Do this' });
});

test('every outcome has a word', () => {
  expect([...RETRYABLE, 'sent'].filter((outcome) => !(outcome in WORDS))).toEqual([]);
});

test('places are filled in', () => {
  expect(say('en', 'ofTotal', { done: '1', total: '2' })).toBe('1 of 2');
  expect(say('ko', 'ofTotal', { done: '1', total: '2' })).toBe('2명 중 1명');
});

test.each([
  [undefined, undefined, 'en'],
  [undefined, 'ko-KR,ko;q=0.9,en;q=0.8', 'ko'],
  [undefined, 'en-US,en;q=0.9,ko;q=0.8', 'en'],
  [undefined, 'fr, ko;q=0.5', 'ko'],
  [undefined, 'en;q=0.1, ko;q=0.2', 'ko'],
  [undefined, 'ko;q=0', 'en'],
  [undefined, '*;;;q=x,,,', 'en'],
  ['ko', 'en', 'ko'],
  ['en', 'ko', 'en'],
  ['xx', 'ko', 'ko'],
])('cookie %s, accepted %s: %s', (cookie, accepted, language) => {
  expect(languageOf(cookie, accepted)).toBe(language);
});
