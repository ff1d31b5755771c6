import { open } from '../src/api/sendstate.ts';
import type { Result } from '../src/model/states.ts';
import { claimFresh } from '../src/queue/claim.ts';
import { Heartbeat } from '../src/queue/heartbeat.ts';
import { record } from '../src/queue/record.ts';
import { VERSION } from '../src/version.ts';

/** What one run of 0→1→2 measured. */
export interface DispatchRun {
  readonly rowsPerSecond: number;
  readonly walBytesPerRow: number;
  /** CPU seconds of this process per second. */
  readonly nodeCpu: number;
}

/** Fills a campaign with people whose rows look like those of a real list: two Hangul words, a city, a number. */
export async function fillCampaign(url: string, rows: number): Promise<number> {
  const app = await open({ databaseUrl: url });
  try {
    const { rows: made } = await app.database.pool.query<{ campaign_id: number }>(
      `insert into campaign (name, status, sender, subject, text, started_at)
       values ('dispatch', 'running', 'News <news@example.com>', 'Hello', 'Hello', now()) returning campaign_id`,
    );
    const campaignId = made[0]?.campaign_id ?? 0;
    for (let from = 1; from <= rows; from += 100_000) {
      await app.database.pool.query(
        `insert into recipient (campaign_id, address, vars)
         select $1, 'person' || i || '@mail' || i % 100 || '.example.com', jsonb_build_object('이름', '홍길동' || i,
           '회사', '주식회사 예시' || i % 1000, '포인트', (i * 37 % 100000)::text, '도시', '서울특별시')
         from generate_series($2::int, $3::int) i`,
        [campaignId, from, Math.min(from + 99_999, rows)],
      );
    }
    await app.database.pool.query(
      'insert into counter (campaign_id, worker_id, lane, waiting) values ($1, 0, 0, $2)',
      [campaignId, rows],
    );
    await app.database.pool.query('vacuum (analyze) recipient');
    await app.database.pool.query('checkpoint');
    return campaignId;
  } finally {
    await app.close();
  }
}

/**
 * Moves every recipient of a campaign through 0→1→2 without mail: claims of `batch`, all results of a claim in one
 * statement, and in the same statement the handed-over mark of the next claim, which is made one ahead as the worker
 * does it. Claim rows, fencing, marks, counters and timeline are all in place. `settled` is called when the last result is
 * committed; what follows checks the table.
 */
export async function dispatch(
  url: string,
  campaignId: number,
  clients: number,
  batch: number,
  settled: () => void = () => undefined,
): Promise<DispatchRun> {
  const app = await open({ databaseUrl: url, max: clients * 2 });
  try {
    const lsn = async () =>
      (await app.database.pool.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn')).rows[0]?.lsn;
    const before = await lsn();
    const cpu = process.cpuUsage();
    const start = performance.now();
    const done = await Promise.all(Array.from({ length: clients }, () => client(app, campaignId, batch)));
    settled();
    const seconds = (performance.now() - start) / 1000;
    const used = process.cpuUsage(cpu);
    const rows = done.reduce((sum, n) => sum + n, 0);
    const { rows: wal } = await app.database.pool.query<{ bytes: string }>(
      'select pg_wal_lsn_diff(pg_current_wal_lsn(), $1) as bytes',
      [before],
    );
    const { rows: check } = await app.database.pool.query<{ ok: boolean }>(
      `select (select count(*) from recipient where campaign_id = $1 and send_state = 2 and outcome = 'sent') = $2
          and (select sum(sent) from counter where campaign_id = $1) = $2
          and not exists (select from claim where campaign_id = $1 and closed_at is null) as ok`,
      [campaignId, rows],
    );
    if (check[0]?.ok !== true) throw new Error('the table does not agree with what was dispatched');
    return {
      rowsPerSecond: rows / seconds,
      walBytesPerRow: Number(wal[0]?.bytes) / rows,
      nodeCpu: (used.user + used.system) / 1e6 / seconds,
    };
  } finally {
    await app.close();
  }
}

type App = Awaited<ReturnType<typeof open>>;

async function client({ database }: App, campaignId: number, batch: number): Promise<number> {
  const { workerId } = await Heartbeat.register(database, VERSION, 3600);
  const claimNext = (after: number) => claimFresh(database, { campaignId, workerId, limit: batch, after });
  const lastOf = (claim: { recipients: readonly { recipientId: number }[] }) =>
    claim.recipients.at(-1)?.recipientId ?? 0;
  let done = 0;
  let claim = await claimNext(0);
  if (claim !== null)
    await record(
      database,
      campaignId,
      workerId,
      [],
      [{ claimId: claim.claimId, handedThrough: lastOf(claim), close: false }],
    );
  while (claim !== null) {
    const next = await claimNext(lastOf(claim));
    const { claimId } = claim;
    const results = claim.recipients.map(
      ({ recipientId }): Result => ({
        recipientId,
        claimId,
        outcome: 'sent',
        replyCode: 250,
        reply: `2.0.0 Ok: queued as 4F${recipientId.toString(36)}`,
        retrySeconds: 0,
        charged: 1,
        maybeSent: 0,
        reason: null,
      }),
    );
    const marks = [{ claimId, handedThrough: lastOf(claim), close: true }];
    if (next !== null) marks.push({ claimId: next.claimId, handedThrough: lastOf(next), close: false });
    const { written, held } = await record(database, campaignId, workerId, results, marks);
    if (written !== results.length || held.size !== marks.length)
      throw new Error('a record changed fewer rows than it was given');
    done += written;
    claim = next;
  }
  return done;
}
