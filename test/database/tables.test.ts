import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import { TABLES, type Tables } from '../../src/database/tables.ts';
import { CAMPAIGN_STATUSES, OUTCOMES } from '../../src/model/states.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
});

afterAll(() => fresh.drop());

/** The catalog's columns in the notation of TABLES. */
async function catalog(): Promise<Record<string, Record<string, string>>> {
  const { rows } = await fresh.pool.query<{ table: string; column: string; notation: string }>(`
    select c.relname as table, a.attname as column,
      case when e.oid is null then t.typname else e.typname || '[]' end ||
      case when a.attidentity = 'a' or a.attgenerated <> '' then ' generated'
           when not a.attnotnull then ' null'
           when a.atthasdef then ' default'
           else '' end as notation
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    left join pg_type e on t.typcategory = 'A' and e.oid = t.typelem
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and c.relname not like 'sendstate\\_migration%'
    order by c.relname, a.attnum`);
  const tables: Record<string, Record<string, string>> = {};
  for (const { table, column, notation } of rows) {
    tables[table] ??= {};
    tables[table][column] = notation;
  }
  return tables;
}

test('the types name every table and column of the database, and no other', async () => {
  expect(await catalog()).toEqual(TABLES);
});

test('the types name the columns in the order of the tables, so that both read alike', async () => {
  const real = await catalog();
  for (const [table, columns] of Object.entries(TABLES)) {
    expect(Object.keys(real[table] ?? {}), table).toEqual(Object.keys(columns));
  }
});

test('the enums have the same words in the same order', async () => {
  const { rows } = await fresh.pool.query<{ type: string; words: string[] }>(`
    select t.typname as type, array_agg(e.enumlabel::text order by e.enumsortorder) as words
    from pg_enum e join pg_type t on t.oid = e.enumtypid
    where t.typnamespace = current_schema()::regnamespace group by t.typname order by t.typname`);
  expect(rows).toEqual([
    { type: 'campaign_status', words: [...CAMPAIGN_STATUSES] },
    { type: 'outcome', words: [...OUTCOMES] },
  ]);
});

describe('values arrive as the types say', () => {
  const examples: [type: string, literal: string, value: unknown][] = [
    ['int2', '32767', 32767],
    ['int4', '-2147483648', -2147483648],
    ['int8', '9007199254740991', 9007199254740991],
    ['int8[]', '{1,-2,9007199254740991}', [1, -2, 9007199254740991]],
    ['int8[]', '{}', []],
    ['float8', '0.5', 0.5],
    ['bool', 't', true],
    ['text', '똠방각하', '똠방각하'],
    ['bytea', '\\x00ff', Buffer.from([0, 255])],
    ['timestamptz', '2026-03-01 09:00:00.123+09', new Date('2026-03-01T00:00:00.123Z')],
    ['interval', '3 days', '3 days'],
    ['jsonb', '{"이름":"김"}', { 이름: '김' }],
    ['json', '{"X-이름":"김"}', { 'X-이름': '김' }],
    ['outcome', 'sent', 'sent'],
    ['campaign_status', 'draft', 'draft'],
  ];

  test.each(examples)('%s %s', async (type, literal, value) => {
    const { rows } = await fresh.pool.query(`select $1::text::${type} as value`, [literal]);
    expect(rows[0].value).toEqual(value);
  });

  test('every type of the tables has an example here', () => {
    const used = Object.values(TABLES).flatMap((columns) =>
      Object.values(columns).map((column) => column.split(' ')[0]),
    );
    expect(new Set(examples.map(([type]) => type))).toEqual(new Set(used));
  });
});

test('kysely writes and reads a row by these types', async () => {
  const { kysely } = fresh.database;
  const { campaign_id } = await kysely
    .insertInto('campaign')
    .values({
      name: 'spring',
      sender: 'a@example.com',
      subject: 's',
      text: 't',
      headers: JSON.stringify({ 'X-A': 'b' }),
    })
    .returning('campaign_id')
    .executeTakeFirstOrThrow();
  await kysely.insertInto('recipient').values({ campaign_id, address: 'kim@example.com' }).execute();
  const row = await kysely.selectFrom('recipient').selectAll().executeTakeFirstOrThrow();
  expectTypeOf(row.outcome).toEqualTypeOf<(typeof OUTCOMES)[number] | null>();
  expectTypeOf<Tables['claim']['recipient_ids']['__select__']>().toEqualTypeOf<number[] | null>();
  expect(row).toMatchObject({
    campaign_id,
    send_state: 0,
    attempts: 0,
    outcome: null,
    retry_at: null,
    vars: {},
  });
  const campaign = await kysely.selectFrom('campaign').selectAll().executeTakeFirstOrThrow();
  expect(campaign).toMatchObject({
    headers: { 'X-A': 'b' },
    max_age: '3 days',
    status: 'draft',
    start_at: null,
  });
  expect(campaign.created_at).toBeInstanceOf(Date);
});
