import type { App } from '../api/sendstate.ts';

/** Three questions that psql can ask about a campaign, and one of its recipients. */
export function demoQueries(name: string, address: string): string[] {
  const [campaign, person] = [literal(name), literal(address)];
  return [
    `select status, total, sent, rejected, finished_at - started_at as took
from campaign_progress where name = ${campaign};`,
    `select vars->>'도시' as city, count(*) as people, count(*) filter (where outcome = 'sent') as sent
from recipient join campaign using (campaign_id)
where name = ${campaign} group by city order by people desc, city limit 5;`,
    `select address, send_state, outcome, attempts, reply_code, reply
from recipient join campaign using (campaign_id)
where name = ${campaign} and address = ${person};`,
  ];
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Asks, and draws the answer as psql would. */
export async function answerOf({ database }: App, query: string): Promise<string[]> {
  const { fields, rows } = await database.pool.query<string[]>({
    text: query,
    rowMode: 'array',
    // Every value as the server wrote it: nothing is turned into a Date and back.
    types: { getTypeParser: () => (text: unknown) => (text === null ? '' : String(text)) },
  });
  return tableLines(
    fields.map(({ name }) => name),
    rows.map((row) => row.map((value) => value ?? '')),
  );
}

/** A table of texts, as wide as its cells. */
export function tableLines(names: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = names.map((name, column) =>
    Math.max(...[name, ...rows.map((row) => row[column] ?? '')].map(widthOf)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((text, column) => ` ${text}${' '.repeat((widths[column] ?? 0) - widthOf(text))} `)
      .join('|')
      .trimEnd();
  return [line(names), widths.map((width) => '-'.repeat(width + 2)).join('+'), ...rows.map(line)];
}

/** East Asian letters take two columns of a terminal (Unicode TR 11), marks that stand above or below none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NARROWEST = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns of a terminal that a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const letter of text) width += WIDE.test(letter) ? 2 : NARROWEST.test(letter) ? 0 : 1;
  return width;
}
