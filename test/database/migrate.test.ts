import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/database/connect.ts';
import { checkSchema, migrate, migrationsDirectory, schemaVersion } from '../../src/database/migrate.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let empty: FreshDatabase;
let directory: string;

beforeEach(async () => {
  empty = await freshDatabase({ migrated: false });
  directory = await mkdtemp(path.join(tmpdir(), 'sendstate-migrations-'));
});

afterEach(async () => {
  await empty.drop();
  await rm(directory, { recursive: true, force: true });
});

/** The names of our tables, or none. */
async function tables(): Promise<string[]> {
  const { rows } = await empty.pool.query<{ relname: string }>(
    `select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S') order by relname`,
  );
  return rows.map((row) => row.relname);
}

async function ownMigrations(): Promise<string[]> {
  const names = (await readdir(migrationsDirectory())).filter((name) => name.endsWith('.sql')).sort();
  return names.map((name) => name.replace(/\.sql$/, ''));
}

test('an empty database gets every migration, in order; a second time there is nothing to do', async () => {
  const names = await ownMigrations();
  expect(await schemaVersion(empty.database)).toBeNull();
  expect(await migrate(empty.database)).toEqual({ applied: names, version: names.at(-1) });
  expect(await tables()).toEqual(
    expect.arrayContaining(['campaign', 'claim', 'counter', 'recipient', 'worker']),
  );
  expect(await migrate(empty.database)).toEqual({ applied: [], version: names.at(-1) });
  expect(await schemaVersion(empty.database)).toBe(names.at(-1));
  await expect(checkSchema(empty.database)).resolves.toBeUndefined();
});

test('ten at once from empty: one does the work, nine find it done', async () => {
  const ten = await Promise.all(Array.from({ length: 10 }, () => openDatabase(empty.url, { max: 1 })));
  try {
    const results = await Promise.all(ten.map((database) => migrate(database)));
    const names = await ownMigrations();
    expect(results.map((result) => result.applied).filter((applied) => applied.length > 0)).toEqual([names]);
    expect(new Set(results.map((result) => result.version))).toEqual(new Set([names.at(-1)]));
  } finally {
    await Promise.all(ten.map((database) => database.close()));
  }
});

test('no lock outlives the call, so that a pooler never hands one on', async () => {
  await migrate(empty.database);
  const { rows } = await empty.pool.query(`
    select pid from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())`);
  expect(rows).toEqual([]);
});

describe('a migration that fails in the middle', () => {
  const good = 'create table first (id int);';

  beforeEach(async () => {
    await writeFile(path.join(directory, '0001_first.sql'), good);
    await writeFile(path.join(directory, '0002_second.sql'), 'create table second (id int); select 1 / 0;');
  });

  test('says which one and why, and leaves nothing of any of them', async () => {
    await expect(migrate(empty.database, { directory })).rejects.toMatchObject({
      code: 'migration-failed',
      message: expect.stringMatching(/0002_second.*division by zero/),
      hint: expect.stringContaining('Nothing was changed'),
    });
    expect(await tables()).toEqual([]);
    expect(await schemaVersion(empty.database)).toBeNull();
  });

  test('is applied once its cause is gone', async () => {
    await expect(migrate(empty.database, { directory })).rejects.toThrow('0002_second');
    await writeFile(path.join(directory, '0002_second.sql'), 'create table second (id int);');
    expect(await migrate(empty.database, { directory })).toEqual({
      applied: ['0001_first', '0002_second'],
      version: '0002_second',
    });
  });
});

describe('a table that another session reads for long', () => {
  beforeEach(async () => {
    await migrate(empty.database);
    for (const name of await ownMigrations())
      await copyFile(path.join(migrationsDirectory(), `${name}.sql`), path.join(directory, `${name}.sql`));
    await writeFile(path.join(directory, '9999_more.sql'), 'alter table campaign add column more int;');
  });

  test('is waited for a moment at a time; sessions that come after the migration go on, and it is applied in the end', async () => {
    const backup = await empty.pool.connect();
    await backup.query('begin; lock table campaign in access share mode');
    const migrating = migrate(empty.database, { directory });
    const waits = async () =>
      (await empty.pool.query(`select from pg_locks where not granted and relation = 'campaign'::regclass`))
        .rowCount;
    await expect.poll(waits, { timeout: 20_000, interval: 20 }).toBe(1);
    // It stands in line behind the migration, and is let through although the backup goes on.
    await empty.pool.query('select from campaign');
    await backup.query('commit');
    backup.release();
    expect((await migrating).applied).toEqual(['9999_more']);
  });

  test('is given up at last: nothing was changed, and it says who is to blame', async () => {
    const backup = await empty.pool.connect();
    await backup.query('begin; lock table campaign in access share mode');
    try {
      await expect(migrate(empty.database, { directory, tries: 1 })).rejects.toMatchObject({
        code: 'migration-failed',
        message: expect.stringMatching(/9999_more.*lock timeout/),
        hint: expect.stringContaining('Another session holds a table'),
      });
    } finally {
      await backup.query('rollback');
      backup.release();
    }
    expect(await schemaVersion(empty.database)).toBe((await ownMigrations()).at(-1));
  });
});

describe('a schema that is not this program’s', () => {
  test('empty: says so and how to fill it', async () => {
    await expect(checkSchema(empty.database)).rejects.toMatchObject({
      code: 'schema-empty',
      hint: 'Run: sendstate migrate',
    });
  });

  test('older: names both versions', async () => {
    await copyFile(
      path.join(migrationsDirectory(), '0001_tables.sql'),
      path.join(directory, '0001_tables.sql'),
    );
    await migrate(empty.database, { directory });
    await writeFile(path.join(directory, '0002_more.sql'), 'create table more (id int);');
    await expect(checkSchema(empty.database, { directory })).rejects.toMatchObject({
      code: 'schema-older',
      message: expect.stringMatching(/0001_tables.*0002_more/),
      hint: 'Run: sendstate migrate',
    });
    expect((await migrate(empty.database, { directory })).applied).toEqual(['0002_more']);
  });

  test('newer: refused by checkSchema and by migrate, which changes nothing', async () => {
    await writeFile(path.join(directory, '0001_first.sql'), 'create table first (id int);');
    await writeFile(path.join(directory, '0002_future.sql'), 'create table future (id int);');
    await migrate(empty.database, { directory });
    await rm(path.join(directory, '0002_future.sql'));
    await writeFile(path.join(directory, '0003_ours.sql'), 'create table ours (id int);');
    const newer = { code: 'schema-newer', message: expect.stringContaining('0002_future') };
    await expect(checkSchema(empty.database, { directory })).rejects.toMatchObject(newer);
    await expect(migrate(empty.database, { directory })).rejects.toMatchObject(newer);
    expect(await tables()).not.toContain('ours');
  });
});

test('the tables of a second installation in another schema are not taken for ours', async () => {
  await empty.pool.query(
    'create schema other; create table other.sendstate_migration (name text, timestamp text)',
  );
  await empty.pool.query('create table other.sendstate_migration_lock (id text, is_locked int)');
  expect((await migrate(empty.database)).applied).toEqual(await ownMigrations());
});

test('a package without its migrations says so', async () => {
  await expect(migrate(empty.database, { directory })).rejects.toMatchObject({ code: 'migration-missing' });
});
