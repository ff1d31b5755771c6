import { CsvReader, type CsvRecord } from './csv.ts';

/** In this order when the text leaves it open. */
const delimiters = [',', ';', '\t', '|'] as const;

/** Excel's own first line, which only says what the delimiter is: `sep=;`. */
const excelHint = /^"?sep=([^"\r\n])"?$/i;

/** Whether a record is Excel's `sep=;` line, which holds no data. */
export function isExcelHint(record: CsvRecord): boolean {
  return record.line === 1 && excelHint.test(record.original);
}

/**
 * Finds the delimiter from the beginning of a file: the one that cuts the first row into names of which one is the
 * address column's, and the rows below into as many cells. Quotation marks are honoured.
 *
 * @param head   the first characters
 * @param whole  the head is the whole file; otherwise it may end in the middle of a row
 * @param known  whether column names look right, that is whether the address column is among them
 */
export function findDelimiter(
  head: string,
  whole: boolean,
  known: (names: readonly string[]) => boolean,
): string {
  const hinted = excelHint.exec(/^[^\r\n]*/.exec(head)?.[0] ?? '');
  if (hinted?.[1] !== undefined) return hinted[1];
  let best: { delimiter: string; rank: readonly number[] } = { delimiter: ',', rank: [0, 0, 0] };
  for (const delimiter of delimiters) {
    const reader = new CsvReader({ delimiter, maxRecordChars: head.length + 1 });
    const [header, ...rows] = reader.push(whole ? `${head}\n` : head);
    if (header === undefined || header.cells.length < 2) continue;
    const fitting = rows.filter((row) => row.problem === null && row.cells.length === header.cells.length);
    const fit = rows.length === 0 ? 0 : fitting.length / rows.length;
    const rank = [known(header.cells) ? 1 : 0, fit, header.cells.length];
    if (isHigher(rank, best.rank)) best = { delimiter, rank };
  }
  return best.delimiter;
}

function isHigher(left: readonly number[], right: readonly number[]): boolean {
  for (const [place, value] of left.entries()) {
    const other = right[place] ?? 0;
    if (value !== other) return value > other;
  }
  return false;
}
