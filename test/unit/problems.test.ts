import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { explainConnectError, isTransient, isUnreachable } from '../../src/database/problems.ts';

const TARGET = { host: 'db.example.com', port: 5432, database: 'news', user: 'kim' };

/** What the server says to a connection that it does not let in. */
function refused(code: string, words: string): Error {
  return Object.assign(new pg.DatabaseError(words, words.length, 'error'), { code });
}

describe('a connection that the server refuses', () => {
  test.each([
    ['53100', 'could not write init file: No space left on device'],
    ['53200', 'out of memory'],
    ['57P01', 'terminating connection due to administrator command'],
    ['57P02', 'terminating connection because of crash of another server process'],
    ['08006', 'connection failure'],
  ])('%s passes: a worker that reconnects then waits instead of ending', (code, words) => {
    const error = explainConnectError(refused(code, words), TARGET);
    expect(error.message).toContain('db.example.com:5432/news');
    expect({ unreachable: isUnreachable(error), transient: isTransient(error) }).toEqual({
      unreachable: true,
      transient: true,
    });
  });

  test('a full disk is said in so many words', () => {
    const error = explainConnectError(refused('53100', 'could not write init file: No space left'), TARGET);
    expect(error).toMatchObject({ code: 'database-disk-full', hint: expect.stringMatching(/room/) });
    expect(error.message).toMatch(/disk .* is full/);
  });

  test.each([
    ['28P01', 'password authentication failed for user "kim"'],
    ['28000', 'role "kim" is not permitted to log in'],
    ['3D000', 'database "news" does not exist'],
    ['42501', 'permission denied for database "news"'],
  ])('%s does not: waiting would not mend it', (code, words) => {
    expect(isTransient(explainConnectError(refused(code, words), TARGET))).toBe(false);
  });
});
