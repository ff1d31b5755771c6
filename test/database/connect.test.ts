import { once } from 'node:events';
import net from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Database, inTransaction, lazyDatabase, openDatabase } from '../../src/database/connect.ts';
import { isTransient, prepare } from '../../src/database/prepare.ts';
import { codeOf, isConflict, isUnreachable } from '../../src/database/problems.ts';
import { parseInt8, parseInt8Array } from '../../src/database/types.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { withDatabase } from '../support/server.ts';

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase({ max: 3 });
  await fresh.pool.query('create table note (id int primary key, words text)');
});

afterAll(() => fresh.drop());

/** A database of one connection, for tests that care which. */
async function withOne<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const database = await openDatabase(fresh.url, { max: 1 });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

const pidOf = async (database: Database): Promise<number> =>
  (await database.pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;

/** Postgres' ErrorResponse (protocol-message-formats: 'E', length, fields of a letter and a text, NUL). */
function errorResponse(code: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

/** A port of this machine on which `answer` is all that is said after the startup message; null: nothing. */
async function withServer<T>(answer: Buffer | null, work: (port: number) => Promise<T>): Promise<T> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('data', () => answer !== null && socket.end(answer)).on('error', () => socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    return await work((server.address() as net.AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const SECRET = 'hunter2-secret';

async function failure(url: string, connectTimeoutMs = 5_000): Promise<unknown> {
  return openDatabase(url, { connectTimeoutMs }).then(
    () => expect.fail('it connected'),
    (error: unknown) => error,
  );
}

describe('a connection that cannot be made says what happened, where, and what to do', () => {
  test.each([
    [
      '28P01',
      'password authentication failed for user "kim"',
      'database-password',
      /refuses the password of user "kim"/,
    ],
    ['28000', 'no pg_hba.conf entry', 'database-refused', /does not let user "kim" in/],
    ['3D000', 'database "people" does not exist', 'database-missing', /no database "people"/],
    ['53300', 'sorry, too many clients already', 'database-full', /no connection left/],
    ['57P03', 'the database system is starting up', 'database-unreachable', /starting or stopping/],
    ['08P01', 'database "people" does not exist', 'database-missing', /no database "people"/],
    ['08P01', '"trust" authentication failed', 'database-password', /refuses the password/],
    ['XX000', 'something else', 'database-refused', /something else/],
  ])('the server answers %s (%s)', async (code, words, expected, message) => {
    await withServer(errorResponse(code, words), async (port) => {
      const error = await failure(`postgres://kim:${SECRET}@127.0.0.1:${port}/people`);
      expect(error).toMatchObject({
        code: expected,
        message: expect.stringMatching(message),
        hint: expect.any(String),
      });
      expect((error as Error).message).toContain(`127.0.0.1:${port}`);
      expect(codeOf(error)).toBe(code);
    });
  });

  test('no server listens', async () => {
    const port = await withServer(null, async (free) => free);
    const error = await failure(`postgres://kim:${SECRET}@127.0.0.1:${port}/people`);
    expect(error).toMatchObject({
      code: 'database-unreachable',
      message: expect.stringContaining(`127.0.0.1:${port}/people`),
    });
    expect(isUnreachable(error)).toBe(true);
  });

  test('the server accepts and says nothing: given up after the time that was set', async () => {
    await withServer(null, async (port) => {
      const error = await failure(`postgres://kim:${SECRET}@127.0.0.1:${port}/people`, 200);
      expect(error).toMatchObject({ code: 'database-unreachable' });
      expect(isUnreachable(error)).toBe(true);
    });
  });

  test('the server hangs up', async () => {
    await withServer(Buffer.alloc(0), async (port) => {
      expect(await failure(`postgres://kim:${SECRET}@127.0.0.1:${port}/people`)).toMatchObject({
        code: 'database-unreachable',
      });
    });
  });

  test('something that is not Postgres answers', async () => {
    await withServer(Buffer.from('220 mail.example.com ESMTP\r\n'), async (port) => {
      expect(await failure(`postgres://kim:${SECRET}@127.0.0.1:${port}/people`)).toMatchObject({
        code: expect.stringMatching(/^database-/),
      });
    });
  });

  test('the real server has no such database', async () => {
    expect(await failure(withDatabase(fresh.url, 'no_such_database'))).toMatchObject({
      code: 'database-missing',
      hint: expect.stringContaining('createdb no_such_database'),
    });
  });

  test('no password ever shows', async () => {
    const answers = ['28P01', '28000', '3D000', '53300', '57P03', 'XX000'].map((code) =>
      errorResponse(code, 'no'),
    );
    for (const answer of [...answers, null, Buffer.alloc(0), Buffer.from('junk')]) {
      await withServer(answer, async (port) => {
        const error = (await failure(`postgres://kim:${SECRET}@127.0.0.1:${port}/p`, 200)) as Error & {
          hint: string;
        };
        expect(`${error.message} ${error.hint} ${JSON.stringify(error)} ${error.stack}`).not.toContain(
          SECRET,
        );
      });
    }
    expect(lazyDatabase(`postgres://kim:${SECRET}@127.0.0.1:1/p`).url).not.toContain(SECRET);
  });

  test.each([
    '',
    'nonsense',
    'mysql://kim@127.0.0.1/p',
    `kim:${SECRET}@host/db`,
    `postgres://kim:${SECRET}@`,
  ])('%j is no URL', (url) => {
    expect(() => lazyDatabase(url)).toThrow(expect.objectContaining({ code: 'database-url' }));
    expect(() => lazyDatabase(url)).not.toThrow(SECRET);
  });
});

describe('a pool', () => {
  test('an idle connection that dies is told of, and the next query opens another', async () => {
    let told: (error: Error) => void = () => undefined;
    const death = new Promise<Error>((resolve) => {
      told = resolve;
    });
    const database = await openDatabase(fresh.url, { max: 1, onIdleError: (error) => told(error) });
    try {
      const before = await pidOf(database);
      await fresh.pool.query('select pg_terminate_backend($1)', [before]);
      expect(isUnreachable(await death)).toBe(true);
      expect(await pidOf(database)).not.toBe(before);
    } finally {
      await database.close();
    }
  });

  test('all connections in use: an error that says so, after the time that was set', async () => {
    const database = await openDatabase(fresh.url, { max: 1, connectTimeoutMs: 1_000 });
    const client = await database.pool.connect();
    try {
      await expect(database.pool.query('select 1')).rejects.toMatchObject({ code: 'database-busy' });
      await expect(database.kysely.selectFrom('campaign').selectAll().execute()).rejects.toMatchObject({
        code: 'database-busy',
      });
    } finally {
      client.release();
      await database.close();
    }
  });

  test('a queue for connections that are in use and come back is no lost database, however long it is', async () => {
    const busy = await openDatabase(fresh.url, { max: 2, connectTimeoutMs: 150 });
    try {
      const began = performance.now();
      const turns = Array.from({ length: 12 }, () => busy.pool.query('select pg_sleep(0.1)'));
      expect(await Promise.all(turns)).toHaveLength(12);
      // Four times the limit: the last ones waited longer than it.
      expect(performance.now() - began).toBeGreaterThan(500);
    } finally {
      await busy.close();
    }
  });

  test('closing twice is once', async () => {
    const database = await openDatabase(fresh.url);
    await Promise.all([database.close(), database.close()]);
    expect(database.pool.ended).toBe(true);
  });

  test('it says who is connected', async () => {
    const database = await openDatabase(fresh.url, { applicationName: 'sendstate worker 7' });
    const { rows } = await database.pool.query(`select current_setting('application_name') as name`);
    await database.close();
    expect(rows).toEqual([{ name: 'sendstate worker 7' }]);
  });
});

describe('inTransaction', () => {
  const count = async () =>
    (await fresh.pool.query<{ n: number }>('select count(*) as n from note')).rows[0]?.n;

  test('commits what was done through the connection and through kysely, and gives back the result', async () => {
    const result = await inTransaction(fresh.database, async ({ client, kysely }) => {
      await client.query(`insert into note values (1, 'one')`);
      const inside = await client.query('select pg_current_xact_id()::text as xid');
      const through = await kysely
        .selectNoFrom((eb) => eb.fn<string>('pg_current_xact_id').as('xid'))
        .executeTakeFirst();
      expect(String(through?.xid)).toBe(inside.rows[0].xid);
      return 'done';
    });
    expect({ result, rows: await count() }).toEqual({ result: 'done', rows: 1 });
  });

  test('undoes everything when the work throws', async () => {
    const before = await count();
    const work = inTransaction(fresh.database, async ({ client }) => {
      await client.query(`insert into note values (2, 'two')`);
      throw new Error('changed my mind');
    });
    await expect(work).rejects.toThrow('changed my mind');
    expect(await count()).toBe(before);
  });

  test('a failed statement that the caller caught does not look like a commit', async () => {
    const before = await count();
    const work = inTransaction(fresh.database, async ({ client }) => {
      await client.query(`insert into note values (3, 'three')`);
      await client.query('select 1 / 0').catch(() => undefined);
    });
    await expect(work).rejects.toMatchObject({ code: 'database-aborted' });
    expect(await count()).toBe(before);
  });

  test('a connection that dies in the middle: the error is transient, the pool goes on', async () => {
    await withOne(async (database) => {
      const work = inTransaction(database, async ({ client }) => {
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
        await fresh.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
        await client.query('select 1');
      });
      const error = await work.catch((caught: unknown) => caught);
      expect(isTransient(error)).toBe(true);
      expect(await pidOf(database)).toBeGreaterThan(0);
    });
  });

  test('two that collide: one succeeds, the other is told to try again', async () => {
    const first = await fresh.pool.connect();
    const second = await fresh.pool.connect();
    try {
      for (const client of [first, second]) await client.query('begin isolation level serializable');
      for (const client of [first, second]) await client.query('select sum(id) from note');
      await first.query(`insert into note values (100, 'a')`);
      await second.query(`insert into note values (101, 'b')`);
      await first.query('commit');
      const error = await second.query('commit').catch((caught: unknown) => caught);
      expect({ conflict: isConflict(error), transient: isTransient(error) }).toEqual({
        conflict: true,
        transient: true,
      });
    } finally {
      await second.query('rollback');
      first.release();
      second.release();
    }
  });
});

describe('prepare', () => {
  const names = async (database: Database): Promise<string[]> =>
    (await database.pool.query<{ name: string }>('select name from pg_prepared_statements')).rows.map(
      ({ name }) => name,
    );

  test('the server parses it once, and rows are arrays', async () => {
    await withOne(async (database) => {
      const add = prepare('select $1::int + 1, $2::text');
      expect(await add(database, [1, 'a'])).toEqual([[2, 'a']]);
      expect(await add(database, [2, null])).toEqual([[3, null]]);
      expect(await names(database)).toEqual([expect.stringMatching(/^sendstate-[0-9a-f]{16}$/)]);
    });
  });

  test('another text has another name', async () => {
    await withOne(async (database) => {
      await prepare('select 1')(database, []);
      await prepare('select 2')(database, []);
      expect(new Set(await names(database)).size).toBe(2);
    });
  });

  test('the server has forgotten the name (26000): run once more without, and so from then on', async () => {
    await withOne(async (database) => {
      const next = prepare(`insert into note select coalesce(max(id), 0) + 1, 'x' from note returning id`);
      const [[first = 0] = []] = await next<[number]>(database, []);
      await database.pool.query('deallocate all');
      const [[second = 0] = []] = await next<[number]>(database, []);
      expect(second).toBe(first + 1);
      await prepare('select 3')(database, []);
      expect(await names(database)).toEqual([]);
    });
  });

  test('the server knows the name from another session (42P05): the same', async () => {
    const statement = prepare('select 4');
    const name = await withOne(async (database) => {
      await statement(database, []);
      return (await names(database))[0];
    });
    await withOne(async (database) => {
      await database.pool.query(`prepare "${name}" as select 5`);
      expect(await statement(database, [])).toEqual([[4]]);
    });
  });

  test('a migration changed the table under it (0A000): the same', async () => {
    await withOne(async (database) => {
      await database.pool.query('create table changing (a int); insert into changing values (1)');
      const all = prepare('select * from changing');
      expect(await all(database, [])).toEqual([[1]]);
      await database.pool.query('alter table changing add column b int default 2');
      expect(await all(database, [])).toEqual([[1, 2]]);
    });
  });

  test('other errors come through, and nothing is run twice', async () => {
    await withOne(async (database) => {
      await database.pool.query('create sequence tries');
      const fail = prepare(`select 1 / (nextval('tries') - nextval('tries') + 1)`);
      const error = await fail(database, []).catch((caught: unknown) => caught);
      expect({ code: codeOf(error), transient: isTransient(error) }).toEqual({
        code: '22012',
        transient: false,
      });
      const { rows } = await database.pool.query(`select last_value from tries`);
      expect(rows).toEqual([{ last_value: 2 }]);
    });
  });
});

describe('numbers', () => {
  test('ids to 2^53 are exact, beyond is an error', async () => {
    await expect(fresh.pool.query('select 9007199254740992::int8 as n')).rejects.toThrow('beyond 2^53');
    await expect(fresh.pool.query(`select '{9007199254740993}'::int8[] as n`)).rejects.toThrow('beyond 2^53');
    const { rows } = await fresh.pool.query('select -9007199254740991::int8 as n');
    expect(rows).toEqual([{ n: -9007199254740991 }]);
  });

  test('every safe integer and every list of them comes back', () => {
    fc.assert(fc.property(fc.maxSafeInteger(), (n) => parseInt8(String(n)) === n));
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger()), (list) => {
        expect(parseInt8Array(`{${list.join(',')}}`)).toEqual(list);
      }),
    );
  });

  test.each(['', '{', '{}x', '{1,}', '{NULL}', '{{1},{2}}', '{a}', '[0:1]={1,2}'])(
    '%j is no flat int8[]',
    (wrong) => {
      expect(() => parseInt8Array(wrong)).toThrow(RangeError);
    },
  );
});
