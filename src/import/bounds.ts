/**
 * Every bound of the import, with its unit, its default and the reason for it. A caller may change any of them:
 * `importRecipients(pool, { …, bounds: { chunkRows: 500 } })`.
 */
export interface ImportBounds {
  /**
   * Rows that are handed to the database in one COPY and one insert. 5,000: the round trips vanish in about 50 ms
   * of the database's work, Ctrl-C waits no longer than that, and larger chunks were no faster but took more memory.
   */
  readonly chunkRows: number;
  /**
   * Characters after which a chunk is handed over although it has fewer rows. 4 Mi: two chunks are held at a time (one
   * is being written, one is being read), and rows may be large.
   */
  readonly chunkChars: number;
  /** Bytes that are read from the file or the pipe at a time. 64 KiB: system calls no longer show, and the rows of
   * one piece, which are in memory all at once, die young. */
  readonly readBytes: number;
  /** Characters from the beginning in which the delimiter is looked for. 64 Ki: hundreds of ordinary rows. */
  readonly headChars: number;
  /**
   * Characters in one cell. 1 Mi: longer than any mail should be; what is longer is a quotation mark gone astray or
   * another kind of file. The row is rejected.
   */
  readonly maxCellChars: number;
  /**
   * Characters in one record (row), quoted line breaks included. 4 Mi: what a quotation mark that is never closed may
   * swallow before the import stops and names the line.
   */
  readonly maxRecordChars: number;
  /** Columns. 1,000: more than a spreadsheet that a person made; each costs a comparison and a JSON key on every row. */
  readonly maxColumns: number;
  /**
   * Milliseconds between two looks at whether another import into the same campaign has ended. 250: too short to notice
   * the wait, and four small queries a second cost nothing.
   */
  readonly lockPollMs: number;
}

export const importBounds: ImportBounds = {
  chunkRows: 5_000,
  chunkChars: 4 * 1024 * 1024,
  readBytes: 64 * 1024,
  headChars: 64 * 1024,
  maxCellChars: 1024 * 1024,
  maxRecordChars: 4 * 1024 * 1024,
  maxColumns: 1_000,
  lockPollMs: 250,
};
