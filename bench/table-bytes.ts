import type { Place } from './contract.ts';
import { withClient } from './designs/database.ts';

/** What one campaign leaves in a table. */
export interface TableBytes {
  readonly people: number;
  /** Dead row versions as a share of all versions, by the server's own statistics. */
  readonly deadShare: number;
  /** Heap and TOAST, and indexes: after the campaign, after `vacuum`, after every row was deleted and `vacuum`. */
  readonly tableBytes: number;
  readonly indexBytes: number;
  readonly afterVacuum: number;
  readonly afterDelete: number;
  /** Bytes of the person's own data in a row: address and variables. */
  readonly dataBytes: number;
}

/** Looks at a finished campaign of the product, vacuums it, and deletes it. */
export async function tableBytes(place: Place): Promise<TableBytes> {
  return await withClient(place, async (client) => {
    const size = async () => {
      const { rows } = await client.query<{ heap: string; indexes: string }>(
        "select pg_table_size('recipient') as heap, pg_indexes_size('recipient') as indexes",
      );
      return { heap: Number(rows[0]?.heap), indexes: Number(rows[0]?.indexes) };
    };
    // By itself and first: a look at the rows would prune their pages.
    const { rows: counted } = await client.query<{ dead: string }>(
      "select pg_stat_get_dead_tuples('recipient'::regclass) as dead",
    );
    const first = await size();
    const { rows } = await client.query<{ live: string; data: string }>(
      'select count(*) as live, sum(octet_length(address) + pg_column_size(vars)) as data from recipient',
    );
    const [dead, live] = [Number(counted[0]?.dead), Number(rows[0]?.live)];
    await client.query('vacuum recipient');
    const vacuumed = await size();
    await client.query('delete from recipient');
    await client.query('vacuum recipient');
    const deleted = await size();
    return {
      people: live,
      deadShare: dead + live === 0 ? 0 : dead / (dead + live),
      tableBytes: first.heap,
      indexBytes: first.indexes,
      afterVacuum: vacuumed.heap + vacuumed.indexes,
      afterDelete: deleted.heap + deleted.indexes,
      dataBytes: Number(rows[0]?.data),
    };
  });
}
