import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Shell, startShell } from '../support/cli.ts';

let shell: Shell;
beforeAll(async () => {
  shell = await startShell({
    policy: (recipient, nth) =>
      recipient === 'kim@example.com' && nth === 1
        ? { at: 'rcpt', reply: '450 4.2.0 come back later' }
        : null,
  });
});
afterAll(() => shell.end());

const ok = async (...args: string[]) => {
  const { code, stdout, stderr } = await shell.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
};

describe('limit', () => {
  test('sets, lists and takes away', async () => {
    expect(await ok('limit')).toContain('No domain is limited');
    expect(await ok('limit', 'Naver.COM', '20/s')).toContain('naver.com gets 20/s at most');
    expect(JSON.parse(await ok('limit', '*', '90/min', '--json'))).toEqual({ domain: '*', rate: 1.5 });
    expect((await ok('limit')).trim().split('\n')).toEqual(['*  1.5/s', 'naver.com  20/s']);
    expect(JSON.parse(await ok('limit', 'NAVER.com', '--json'))).toMatchObject([
      { domain: 'naver.com', rate: 20, queuedUntil: null },
    ]);
    expect(await ok('limit', 'naver.com', 'none')).toContain('no limit of its own any more');
    expect(await ok('limit', 'naver.com', 'none')).toContain('had none');
    expect(JSON.parse(await ok('limit', '*', 'none', '--json'))).toEqual({ domain: '*', removed: true });
    expect(JSON.parse(await ok('limit', '--json'))).toEqual([]);
  });

  test('says what is wrong, and what to type', async () => {
    const domain = await shell.run(['limit', 'kim@naver.com', '20/s']);
    expect(domain).toMatchObject({ code: 1, stdout: '' });
    expect(domain.stderr).toMatch(/is not a domain\n.*after the @/);
    const unknown = await shell.run(['limit', 'naver.com']);
    expect(unknown.stderr).toContain('sendstate limit naver.com 20/s');
    expect(unknown.code).toBe(1);
    expect((await shell.run(['limit', 'naver.com', 'fast'])).code).toBe(2);
  });
});

describe('create --retry-after, history', () => {
  test('who was put off is tried again after that time, and history tells it', async () => {
    await shell.write('text.hbs', 'Hello');
    await shell.write('people.csv', 'email\nkim@example.com\nlee@example.com\n');
    const template = ['--from', 'News <news@example.com>', '--subject', 'Hello', '--text', 'text.hbs'];
    expect((await shell.run(['create', 'late', ...template, '--retry-after', '5h'])).code).toBe(2);
    await ok('create', 'soon', ...template, '--retry-after', '1s');
    await ok('import', 'soon', 'people.csv');
    await ok('send', 'soon');
    const lines = await ok('history', 'KIM@Example.com');
    expect(lines).toMatch(/^soon \(finished\): kim@example\.com sent at /);
    expect(lines).toMatch(/deferred \(127\.0\.0\.1:\d+\): 450 4\.2\.0 come back later/);
    const [found] = JSON.parse(await ok('history', 'kim@example.com', '--json'));
    expect(found).toMatchObject({
      campaign: 'soon',
      outcome: 'sent',
      attempts: 2,
      claim: { withinMark: true },
      events: [{ event: 'deferred', replyCode: 450 }],
    });
    expect(await ok('history', 'nobody@example.com')).toContain('is in no campaign');
  });
});
