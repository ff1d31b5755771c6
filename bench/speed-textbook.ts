import { createTransport } from 'nodemailer';
import pg from 'pg';
import { type Person, person, rendered, TEMPLATE } from './speed-people.ts';

/*
 * The textbook worker, done well: one row a mail and an index on its state, claims with FOR UPDATE SKIP
 * LOCKED, nodemailer's pool as its documentation shows it, templates compiled once, one UPDATE a mail. As many consumers as
 * connections, so that no connection waits for a claim's last mail.
 */
const TABLE = `
create table if not exists textbook (
  id bigint generated always as identity primary key,
  send_state smallint not null default 0,
  address text not null,
  vars jsonb not null,
  sent_at timestamptz,
  reply text
);
create index if not exists textbook_state on textbook (send_state, id);
truncate textbook restart identity;`;

const CLAIM = `
update textbook set send_state = 1 where id in (
  select id from textbook where send_state = 0 order by id limit $1 for update skip locked
) returning id, address, vars`;

const RECORD = 'update textbook set send_state = 2, sent_at = now(), reply = $2 where id = $1';

/** Rows in a claim: enough that claiming costs little, few enough that a crash leaves little behind. */
const CLAIM_ROWS = 50;

/** Fills the textbook's table anew. */
export async function fillTextbook(pool: pg.Pool, count: number): Promise<void> {
  await pool.query(TABLE);
  for (let from = 1; from <= count; from += 5_000) {
    const people = Array.from({ length: Math.min(5_000, count - from + 1) }, (_, at) => person(from + at));
    await pool.query(
      'insert into textbook (address, vars) select address, vars::jsonb from unnest($1::text[], $2::text[]) as p(address, vars)',
      [people.map(({ address }) => address), people.map(({ vars }) => JSON.stringify(vars))],
    );
  }
  await pool.query('vacuum (analyze) textbook');
  await pool.query('checkpoint');
}

/** How many rows are done. */
export async function textbookSent(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ sent: number }>(
    'select count(*)::int as sent from textbook where send_state = 2 and sent_at is not null',
  );
  return rows[0]?.sent ?? 0;
}

/** Sends to every person in the table. */
export async function runTextbook(databaseUrl: string, port: number, connections: number): Promise<void> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: connections });
  const transport = createTransport({ pool: true, host: '127.0.0.1', port, maxConnections: connections });
  const consume = async () => {
    for (;;) {
      const { rows } = await pool.query<{ id: string } & Person>({
        name: 'claim',
        text: CLAIM,
        values: [CLAIM_ROWS],
      });
      if (rows.length === 0) return;
      for (const { id, address, vars } of rows) {
        const { response } = await transport.sendMail({
          from: TEMPLATE.from,
          to: address,
          subject: rendered.subject(vars),
          text: rendered.text(vars),
          html: rendered.html(vars),
        });
        await pool.query({ name: 'record', text: RECORD, values: [id, response] });
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, consume));
  } finally {
    transport.close();
    await pool.end();
  }
}
