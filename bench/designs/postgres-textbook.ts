import { setTimeout as wait } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import type pg from 'pg';
import type { Consuming, Design, Person, Place } from '../contract.ts';
import { MESSAGE, RENDERED } from '../list.ts';
import { createDatabase, dropDatabase, poolOf, withClient } from './database.ts';

/*
 * The textbook table, done well: one row a mail, an index on the state, claims with FOR UPDATE SKIP LOCKED
 * lowest id first, nodemailer's pool as its documentation shows it, templates compiled once, one UPDATE a mail. No worker owns a
 * claim, so what a killed worker held stays at 1 until an operator with psql puts it back.
 */
const TABLE = `
create table textbook (
  id bigint generated always as identity primary key,
  send_state smallint not null default 0,
  attempts smallint not null default 0,
  not_before timestamptz not null default now(),
  address text not null,
  vars jsonb not null,
  sent_at timestamptz,
  reply text
);
create index textbook_state on textbook (send_state, id);
create table textbook_pause (paused boolean not null);
insert into textbook_pause values (false);`;

/** 0 waiting, 1 claimed, 2 sent, 3 failed. */
const CLAIM = `
update textbook set send_state = 1 where id in (
  select id from textbook where send_state = 0 and not_before <= now() and not (select paused from textbook_pause)
  order by id limit $1 for update skip locked
) returning id, address, vars, attempts`;
const SENT =
  'update textbook set send_state = 2, attempts = attempts + 1, sent_at = now(), reply = $2 where id = $1';
const RECORD_ALL = `
update textbook t set send_state = 2, attempts = attempts + 1, sent_at = now(), reply = '2.0.0 Ok'
from unnest($1::bigint[]) as d(id) where t.id = d.id`;
const FAILED = 'update textbook set send_state = 3, attempts = attempts + 1, reply = $2 where id = $1';
const AGAIN = `
update textbook set send_state = 0, attempts = attempts + 1, not_before = now() + make_interval(secs => $3), reply = $2 where id = $1`;

/** Rows in a claim: enough that claiming costs little, few enough that a crash leaves little behind. */
const CLAIM_ROWS = 50;
/** Rows in a claim without mail, where all results of a claim are written in one statement. */
const BATCH = 500;
const CONNECTIONS = 10;
/** How often is looked for rows that become due, milliseconds. */
const IDLE_MS = 50;

interface Row {
  readonly id: string;
  readonly address: string;
  readonly vars: Person['vars'];
  readonly attempts: number;
}

async function claim(pool: pg.Pool, rows: number): Promise<readonly Row[]> {
  return (await pool.query<Row>({ name: 'claim', text: CLAIM, values: [rows] })).rows;
}

async function left(pool: pg.Pool): Promise<boolean> {
  const { rowCount } = await pool.query('select from textbook where send_state in (0, 1) limit 1');
  return rowCount === 1;
}

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  await withClient(place, async (client) => {
    for await (const piece of people) {
      await client.query(
        'insert into textbook (address, vars) select address, vars::jsonb from unnest($1::text[], $2::text[]) as p(address, vars)',
        [piece.map(({ address }) => address), piece.map(({ vars }) => JSON.stringify(vars))],
      );
    }
    await client.query('analyze textbook');
  });
}

interface SmtpError extends Error {
  readonly responseCode?: number;
  readonly response?: string;
}

async function consume(place: Place, { relay, signal }: Consuming): Promise<void> {
  if (relay === undefined || relay === null) throw new Error('the textbook sends mail: it needs a relay');
  const pool = poolOf(place, CONNECTIONS);
  const { hostname: host, port } = new URL(relay);
  const transport = createTransport({ pool: true, host, port: Number(port), maxConnections: CONNECTIONS });
  const one = async ({ id, address, vars, attempts }: Row) => {
    try {
      const { response } = await transport.sendMail({
        from: MESSAGE.from,
        to: address,
        subject: RENDERED.subject(vars),
        text: RENDERED.text(vars),
        html: RENDERED.html(vars),
      });
      await pool.query({ name: 'sent', text: SENT, values: [id, response] });
    } catch (error) {
      const { responseCode = 0, response, message } = error as SmtpError;
      const reply = response ?? message;
      const final = responseCode >= 500 || attempts + 1 >= place.maxAttempts;
      if (final) await pool.query({ name: 'failed', text: FAILED, values: [id, reply] });
      else await pool.query({ name: 'again', text: AGAIN, values: [id, reply, 2 ** attempts] });
    }
  };
  const consumer = async () => {
    while (!signal.aborted) {
      const rows = await claim(pool, CLAIM_ROWS);
      for (const row of rows) await one(row);
      if (rows.length > 0) continue;
      if (!(await left(pool))) return;
      await wait(IDLE_MS);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, consumer));
  } finally {
    transport.close();
    await pool.end();
  }
}

async function drainWithoutMail(place: Place, settled: () => void): Promise<void> {
  const pool = poolOf(place, 2);
  const client = async () => {
    for (;;) {
      const rows = await claim(pool, BATCH);
      if (rows.length === 0) return;
      await pool.query({ name: 'record', text: RECORD_ALL, values: [rows.map(({ id }) => id)] });
    }
  };
  try {
    await Promise.all([client(), client()]);
    settled();
  } finally {
    await pool.end();
  }
}

const setPaused = async (place: Place, paused: boolean): Promise<boolean> =>
  await withClient(place, async (client) => {
    await client.query('update textbook_pause set paused = $1', [paused]);
    return true;
  });

export const postgresTextbook: Design = {
  name: 'postgres-textbook',
  broker: 'postgres',
  tiers: ['A'],
  guarantees:
    'Every person is a row and every result is committed by itself. A killed worker loses no person, but what it had claimed (50 rows a connection) stays claimed: nothing says that its owner is dead.',
  cannotTell:
    'Which of the claimed rows of a dead worker got their mail, and that it is dead. Its progress is a count over the whole table.',
  afterConsumerKilled: 'stuck',
  // What nodemailer had in hand when the UPDATE could not be made stays claimed in the same way.
  afterBrokerKilled: 'stuck',
  prepare: async (place) => {
    await createDatabase(place);
    await withClient(place, (client) => client.query(TABLE));
  },
  publish,
  consume,
  drainWithoutMail,
  standing: async (place) =>
    await withClient(place, async (client) => {
      const { rows } = await client.query<
        Record<'waiting' | 'retrying' | 'claimed' | 'sent' | 'failed', number>
      >(
        `select count(*) filter (where send_state = 0 and attempts = 0)::int as waiting,
                count(*) filter (where send_state = 0 and attempts > 0)::int as retrying,
                count(*) filter (where send_state = 1)::int as claimed,
                count(*) filter (where send_state = 2)::int as sent,
                count(*) filter (where send_state = 3)::int as failed from textbook`,
      );
      const counts = rows[0] ?? { waiting: 0, retrying: 0, claimed: 0, sent: 0, failed: 0 };
      return {
        waiting: counts.waiting,
        inFlight: counts.claimed,
        sent: counts.sent,
        rejected: counts.failed,
        retrying: counts.retrying,
      };
    }),
  deadLetters: async (place) =>
    await withClient(
      place,
      async (client) =>
        (
          await client.query<{ address: string; reply: string }>(
            "select address, coalesce(reply, '') as reply from textbook where send_state = 3 order by id",
          )
        ).rows,
    ),
  stopOne: async (place, { address }) =>
    await withClient(place, async (client) => {
      const { rowCount } = await client.query(
        "update textbook set send_state = 3, reply = 'stopped' where address = $1 and send_state = 0",
        [address],
      );
      return rowCount === 1;
    }),
  pause: (place) => setPaused(place, true),
  resume: (place) => setPaused(place, false),
  dispose: dropDatabase,
};
