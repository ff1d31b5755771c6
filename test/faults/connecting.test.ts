import { expect, test } from 'vitest';
import { checkDatabaseUrl } from '../../src/database/connect.ts';
import { runCli } from '../support/process.ts';

const LISTS = [
  'postgres://kim:se,cret@db1:5432,db2:5432/mail?target_session_attrs=read-write',
  'postgres://kim:secret@db1,db2/mail',
  'postgresql://db1,db2,db3',
];

test('several hosts in DATABASE_URL: says what to name instead, and no password', async () => {
  for (const url of LISTS) {
    const { code, stderr } = await runCli(['status'], { env: { DATABASE_URL: url } });
    expect(stderr).toContain('names several hosts');
    expect(stderr).toContain('the one address that leads to the primary');
    expect(stderr).not.toMatch(/secret|se,cret|cret/);
    expect(code).toBe(1);
  }
  for (const url of [
    'postgres://kim:a,b@db1/mail',
    'postgres://db1/a,b',
    'postgres://db1/mail?options=-c%20a=b,c',
  ])
    expect(() => checkDatabaseUrl(url)).not.toThrow();
});
