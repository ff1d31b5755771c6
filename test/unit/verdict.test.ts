import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../.ci/verdict.mjs', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'sendstate-verdict-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Status = 'passed' | 'failed' | 'skipped' | 'todo';

/** A report of the test runner with one file. */
function report(name: string, ...statuses: Status[]): string {
  const count = (status: Status) => statuses.filter((one) => one === status).length;
  const file = path.join(folder, name);
  const assertionResults = statuses.map((status, n) => ({ status, fullName: `test ${n}` }));
  writeFileSync(
    file,
    JSON.stringify({
      numPassedTests: count('passed'),
      numFailedTests: count('failed'),
      numPendingTests: count('skipped'),
      numTodoTests: count('todo'),
      testResults: [{ name: 'a.test.ts', status: 'passed', assertionResults }],
    }),
  );
  return file;
}

function verdict(status: number, ...reports: string[]): { line: string; code: number | null; said: string } {
  const {
    stdout,
    stderr,
    status: code,
  } = spawnSync(process.execPath, [program, `${status}`, ...reports], {
    encoding: 'utf8',
  });
  return { line: stdout.trim(), code, said: stderr };
}

test('reports are added up, and all that passed is a success', () => {
  const reports = [report('one', 'passed', 'passed'), report('two', 'passed')];
  expect(verdict(0, ...reports)).toMatchObject({ line: '3 passed, 0 failed, 0 skipped', code: 0 });
});

test('a test that was left out fails the run and is named', () => {
  for (const how of ['skipped', 'todo'] as const) {
    const { line, code, said } = verdict(0, report('left', 'passed', how));
    expect([line, code]).toEqual(['1 passed, 1 failed, 1 skipped', 1]);
    expect(said).toContain(
      `Left out (${how}), which the list of this file does not allow: test 1 in a.test.ts`,
    );
  }
});

test('a run with the servers hidden may leave tests out; its failures count', () => {
  const left = verdict(0, `--bare=${report('hidden', 'passed', 'skipped')}`, report('whole', 'passed'));
  expect(left).toMatchObject({ line: '2 passed, 0 failed, 0 skipped', code: 0 });
  expect(left.said).toContain('1 tests left out where the servers are hidden');
  const failed = verdict(1, `--bare=${report('broken', 'failed')}`, report('all', 'passed'));
  expect(failed).toMatchObject({ line: '1 passed, 1 failed, 0 skipped', code: 1 });
});

test('a failure outside the tests, and a report that is missing, fail the run', () => {
  expect(verdict(1, report('one', 'passed'))).toMatchObject({
    line: '1 passed, 1 failed, 0 skipped',
    code: 1,
  });
  expect(verdict(0, report('one', 'passed'), path.join(folder, 'none')).code).toBe(1);
});
