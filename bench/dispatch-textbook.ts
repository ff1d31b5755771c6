import pg from 'pg';

/*
 * The textbook table, done well: one row a mail, an index on the state, claims of `batch` rows with
 * FOR UPDATE SKIP LOCKED lowest id first, all results of a claim in one UPDATE. No claim rows, no counters, no marks.
 */
const TABLE = `
create table textbook (
  id bigint generated always as identity primary key,
  campaign_id bigint not null,
  send_state smallint not null default 0,
  address text not null,
  vars jsonb not null,
  sent_at timestamptz,
  reply text
);
create index textbook_state on textbook (campaign_id, send_state, id);`;

const CLAIM = `
update textbook set send_state = 1 where id in (
  select id from textbook where campaign_id = 1 and send_state = 0 order by id limit $1 for update skip locked
) returning id, address, vars`;

const RECORD = `
update textbook t set send_state = 2, sent_at = now(), reply = d.reply
from unnest($1::bigint[], $2::text[]) as d(id, reply) where t.id = d.id`;

/** Rows per second through 0→1→2 with the textbook's table. */
export async function textbook(url: string, rows: number, clients: number, batch: number): Promise<number> {
  const pool = new pg.Pool({ connectionString: url, max: clients });
  try {
    await pool.query(TABLE);
    await pool.query(
      `insert into textbook (campaign_id, address, vars)
       select 1, 'person' || i || '@mail' || i % 100 || '.example.com', jsonb_build_object('이름', '홍길동' || i,
         '회사', '주식회사 예시' || i % 1000, '포인트', (i * 37 % 100000)::text, '도시', '서울특별시')
       from generate_series(1, $1::int) i`,
      [rows],
    );
    await pool.query('vacuum (analyze) textbook');
    await pool.query('checkpoint');
    const start = performance.now();
    const done = await Promise.all(Array.from({ length: clients }, () => client(pool, batch)));
    const seconds = (performance.now() - start) / 1000;
    const total = done.reduce((sum, n) => sum + n, 0);
    if (total !== rows) throw new Error(`the textbook table handed out ${total} of ${rows} rows`);
    return total / seconds;
  } finally {
    await pool.query('drop table if exists textbook');
    await pool.end();
  }
}

async function client(pool: pg.Pool, batch: number): Promise<number> {
  for (let done = 0; ; ) {
    const { rows } = await pool.query<{ id: string }>({ name: 'claim', text: CLAIM, values: [batch] });
    if (rows.length === 0) return done;
    const ids = rows.map(({ id }) => id);
    await pool.query({
      name: 'record',
      text: RECORD,
      values: [ids, ids.map((id) => `2.0.0 Ok: queued as 4F${id}`)],
    });
    done += ids.length;
  }
}
