import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import iconv from 'iconv-lite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import type { ImportOptions } from '../../src/import/import.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import {
  type Folder,
  importFile,
  insertCampaign,
  people,
  recipientsOf,
  rejectsIn,
  temporaryFolder,
  waitingOf,
} from '../support/importing.ts';

const child = fileURLToPath(new URL('../support/import-child.ts', import.meta.url));

let db: FreshDatabase;
let folder: Folder;
let campaigns = 0;

beforeAll(async () => {
  db = await freshDatabase();
  folder = await temporaryFolder();
});

afterAll(async () => {
  await db.drop();
  await folder.remove();
});

async function newCampaign(): Promise<number> {
  campaigns += 1;
  return await insertCampaign(db.pool, `faults ${campaigns}`);
}

/** Runs an import that has to fail, and sees to it that it left nothing behind. */
async function failing(
  id: number,
  file: string,
  options: Partial<ImportOptions> = {},
): Promise<SendstateError> {
  const before = await folder.names();
  const error = await importFile(db.pool, id, file, options).then(
    () => new Error('it was imported'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof SendstateError)) throw error;
  expect(await recipientsOf(db.pool, id)).toEqual([]);
  expect(await waitingOf(db.pool, id)).toEqual({ counted: 0, real: 0 });
  expect(await folder.names()).toEqual(before);
  expect(error.message).toContain('Nothing was imported');
  expect(error.hint).toBeTruthy();
  return error;
}

/** A stream that gives a beginning and then waits for more. */
function pipe(beginning: string): PassThrough {
  const stream = new PassThrough();
  stream.write(beginning);
  return stream;
}

/** Resolves once the importing session has put so many chunks into its transaction. */
function whenChunks(count: number): { promise: Promise<void>; onProgress: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = 0;
  const onProgress = () => {
    seen += 1;
    if (seen === count) resolve();
  };
  return { promise, onProgress };
}

describe('killed in the middle', () => {
  test('nothing is there, and the next run imports everything', async () => {
    const id = await newCampaign();
    const running = spawn(process.execPath, [child, db.url, String(id)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(running, 'exit');
    const broken: Error[] = [];
    running.stdin.on('error', (error) => broken.push(error)).write(people(20_000));
    for await (const line of createInterface({ input: running.stdout })) {
      if (Number(line) >= 2000) break;
    }
    // Rows are in the table by now, but in a transaction that will never commit.
    expect(await recipientsOf(db.pool, id)).toEqual([]);
    running.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
    // Of the list only what was still on its way to the dead process may be lost.
    expect(broken.filter((error) => !error.message.includes('EPIPE'))).toEqual([]);
    expect(await recipientsOf(db.pool, id)).toEqual([]);
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 0, real: 0 });
    const file = await folder.write('killed.csv', people(20_000));
    const report = await importFile(db.pool, id, file, { bounds: { lockPollMs: 20 } });
    expect(report).toMatchObject({ imported: 20_000, duplicatesInTable: 0, rejectsFile: null });
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 20_000, real: 20_000 });
  });
});

describe('the database', () => {
  const lose = async () => {
    await db.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and query like '%import_chunk%'`,
    );
  };

  test('is lost while the import waits for a slow pipe', async () => {
    const id = await newCampaign();
    const chunks = whenChunks(3);
    const source = pipe(`${people(20_000)}wrong,row\n`);
    const failed = failing(id, path.join(folder.path, 'lost.csv'), { source, onProgress: chunks.onProgress });
    await chunks.promise;
    await lose();
    expect(await failed).toMatchObject({ code: 'import-failed' });
    expect(source.destroyed).toBe(true);
  });

  test('is lost while it takes rows; the pool goes on', async () => {
    const id = await newCampaign();
    const file = await folder.write('lost.csv', `${people(5000)}wrong,row\n`);
    let lost: Promise<void> | undefined;
    const onProgress = () => {
      lost ??= lose();
    };
    expect(await failing(id, file, { onProgress, bounds: { chunkRows: 100 } })).toMatchObject({
      code: 'import-failed',
    });
    await lost;
    expect(await importFile(db.pool, id, file)).toMatchObject({ imported: 5000, invalid: 1 });
  });

  test('refuses, and its words are passed on', async () => {
    const id = await newCampaign();
    const file = await folder.write('refused.csv', people(10));
    await db.pool.query(
      `alter table recipient add constraint no_person7 check (campaign_id <> ${id} or address not like 'person7%')`,
    );
    const error = await failing(id, file);
    await db.pool.query('alter table recipient drop constraint no_person7');
    expect(error.message).toMatch(/^refused\.csv: the import failed: .*no_person7/);
  });
});

describe('a second import into the same campaign', () => {
  test('waits for the first, says so, and then counts its people as there already', async () => {
    const id = await newCampaign();
    const file = await folder.write('second.csv', people(3000, 1500));
    const source = pipe(people(3000));
    const { promise: waiting, resolve: onWaiting } = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const first = importFile(db.pool, id, 'first.csv', {
      source,
      rejects: null,
      bounds: { chunkRows: 1000, readBytes: 1000 },
      onProgress: () => started.resolve(),
    });
    await started.promise;
    const second = importFile(db.pool, id, file, { onWaiting, bounds: { lockPollMs: 10 } });
    await waiting;
    source.end();
    expect(await first).toMatchObject({ imported: 3000 });
    expect(await second).toMatchObject({ imported: 1500, duplicatesInTable: 1500, duplicatesInFile: 0 });
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 4500, real: 4500 });
  });

  test('can be stopped while it waits', async () => {
    const id = await newCampaign();
    const source = pipe(people(3000));
    const started = Promise.withResolvers<void>();
    const first = importFile(db.pool, id, 'first.csv', {
      source,
      rejects: null,
      bounds: { chunkRows: 1000, readBytes: 1000 },
      onProgress: () => started.resolve(),
    });
    await started.promise;
    const stop = new AbortController();
    const file = await folder.write('stopped.csv', people(3));
    const second = failing(id, file, { signal: stop.signal, onWaiting: () => stop.abort() });
    expect(await second).toMatchObject({ code: 'import-stopped' });
    source.end();
    expect(await first).toMatchObject({ imported: 3000 });
  });
});

describe('stopped by its signal', () => {
  test('while it waits for a pipe that gives nothing', async () => {
    const id = await newCampaign();
    const source = pipe(people(20_000));
    const stop = new AbortController();
    const onProgress = () => stop.abort();
    const file = path.join(folder.path, 'stopped.csv');
    expect(await failing(id, file, { source, onProgress, signal: stop.signal })).toMatchObject({
      code: 'import-stopped',
    });
    expect(source.destroyed).toBe(true);
  });

  test('in the middle of a file, or before it began', async () => {
    const id = await newCampaign();
    const file = await folder.write('middle.csv', people(20_000));
    const stop = new AbortController();
    const options = { onProgress: () => stop.abort(), signal: stop.signal, bounds: { chunkRows: 100 } };
    expect(await failing(id, file, options)).toMatchObject({ code: 'import-stopped' });
    expect(await failing(id, file, { signal: AbortSignal.abort() })).toMatchObject({
      code: 'import-stopped',
    });
  });
});

describe('a file that cannot be understood', () => {
  test('to its end leaves nothing of its beginning, and the line is named', async () => {
    const id = await newCampaign();
    const file = await folder.write('open.csv', `${people(12_000)}x,"never closed\nrow,row\n`);
    const error = await failing(id, file);
    expect(error).toMatchObject({ code: 'csv-quote' });
    expect(error.message).toContain('open.csv, line 12002');
  });

  test('in its encoding is refused with line and byte', async () => {
    const id = await newCampaign();
    const start = iconv.encode(people(12_000), 'cp949');
    const bytes = Buffer.concat([start, Buffer.from('x@x.kr,'), Buffer.from([0xff, 0x0a])]);
    const file = await folder.write('bytes.csv', bytes);
    const error = await failing(id, file);
    expect(error).toMatchObject({ code: 'encoding-bytes' });
    expect(error.message).toContain(
      `bytes.csv, line 12002, byte ${start.length + 7}: not cp949 (and the file is not UTF-8`,
    );
    const said = await failing(id, file, { encoding: 'utf-8' });
    expect(said.message).toContain('line 1, byte 6: not utf-8');
    const marked = await folder.write(
      'marked.csv',
      Buffer.concat([Buffer.from('\ufeffemail\n'), Buffer.from([0xff])]),
    );
    expect((await failing(id, marked)).message).toContain('line 2, byte 9: not utf-8.');
    expect(await failing(id, marked, { encoding: 'cp949' })).toMatchObject({ code: 'encoding-mark' });
  });

  test('from a pipe fails when later bytes contradict what was decided', async () => {
    const id = await newCampaign();
    const source = Readable.from([Buffer.from(people(10_000)), iconv.encode('kim@x.kr,똠\n', 'cp949')]);
    const error = await failing(id, path.join(folder.path, 'pipe.csv'), { source });
    expect(error).toMatchObject({ code: 'encoding-bytes' });
    expect(error.message).toContain('line 10002');
    expect(error.hint).toContain('--encoding');
  });

  test.each([
    ['empty.csv', '', 'csv-empty'],
    ['blank.csv', '\n\n  \n', 'csv-empty'],
    ['hint.csv', 'sep=;\r\n', 'csv-empty'],
    ['book.csv', 'PK\u0003\u0004abc', 'csv-binary'],
    ['noaddress.csv', 'name,phone\nKim,1\n', 'csv-address-column'],
    ['twice.csv', 'email,a,a\nx@x.kr,1,2\n', 'csv-columns'],
    ['header.csv', 'email,"a"b\nx@x.kr,1\n', 'csv-columns'],
    ['long.csv', `email\n${'x'.repeat(5_000_000)}\n`, 'csv-record'],
  ])('is refused with a reason: %s', async (name, content, code) => {
    const id = await newCampaign();
    const error = await failing(id, await folder.write(name, content));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(name);
  });

  test('is gzip, is a folder, or is not there', async () => {
    const id = await newCampaign();
    const file = await folder.write('people.gz', Buffer.from([0x1f, 0x8b, 8, 0]));
    expect(await failing(id, file)).toMatchObject({ code: 'csv-binary' });
    expect(await failing(id, folder.path, { rejects: null })).toMatchObject({ code: 'import-file' });
    expect(await failing(id, path.join(folder.path, 'nowhere.csv'))).toMatchObject({ code: 'import-file' });
  });

  test('breaks off: a stream that fails is named', async () => {
    const id = await newCampaign();
    const source = Readable.from(
      (async function* () {
        yield Buffer.from(people(20));
        throw new Error('the disk is gone');
      })(),
    );
    const error = await failing(id, path.join(folder.path, 'broken.csv'), { source });
    expect(error.message).toContain('the disk is gone');
  });
});

describe('the rejects file', () => {
  test('that cannot be written stops the import', async () => {
    const id = await newCampaign();
    const file = await folder.write('some.csv', `${people(10)}wrong,row\n`);
    const rejects = path.join(folder.path, 'no', 'such', 'folder.csv');
    expect(await failing(id, file, { rejects })).toMatchObject({ code: 'rejects-file' });
  });

  test('that cannot be put in place after the commit says that people are imported', async () => {
    const id = await newCampaign();
    const file = await folder.write('placed.csv', `${people(10)}wrong,row\n`);
    const rejects = path.join(folder.path, 'placed.rejects.csv');
    // Meanwhile another process makes a folder where the file should go.
    const onProgress = () => void mkdirSync(rejects, { recursive: true });
    const error: unknown = await importFile(db.pool, id, file, { rejects, onProgress }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: 'rejects-file',
      message: expect.stringContaining('10 people were imported'),
    });
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 10, real: 10 });
  });

  describe.each([true, false])('dry run: %s', (dryRun) => {
    // With and without a row for it: one would replace the file, the other remove it.
    test.each(['wrong,row\n', ''])('is never the list itself, by whatever name: %j', async (rest) => {
      const id = await newCampaign();
      const list = `email,name\n${people(3)}${rest}`;
      const file = await folder.write('precious.csv', list);
      const link = path.join(folder.path, 'link.csv');
      await symlink(file, link);
      for (const rejects of [file, link, path.join(folder.path, '.', 'precious.csv')]) {
        const error = await failing(id, file, { rejects, dryRun });
        expect(error).toMatchObject({ code: 'rejects-file' });
        expect(error.message).toContain('is the list itself');
        expect(error.hint).toContain('--no-rejects');
        expect(await readFile(file, 'utf8')).toBe(list);
      }
      await rm(link);
    });

    test.each(['wrong,row\n', ''])('replaces or removes no file but its own: %j', async (rest) => {
      const id = await newCampaign();
      const file = await folder.write('own.csv', `${people(3)}${rest}`);
      for (const content of ['line,reason,original\r\n', 'x', '\ufeffline,reason,original,more\r\n']) {
        const rejects = await folder.write('notes.txt', content);
        const error = await failing(id, file, { rejects, dryRun });
        expect(error).toMatchObject({ code: 'rejects-file' });
        expect(error.message).toContain('is no rejects file');
        expect(await readFile(rejects, 'utf8')).toBe(content);
      }
      expect(await failing(id, file, { rejects: folder.path, dryRun })).toMatchObject({
        code: 'rejects-file',
      });
    });
  });

  test('may stand where an empty file or a former one is; a dry run leaves that alone', async () => {
    const id = await newCampaign();
    const file = await folder.write('again.csv', `${people(3)}wrong,row\n`);
    const rejects = await folder.write('again.rejects.csv', '');
    await importFile(db.pool, id, file, { dryRun: true });
    expect(await readFile(rejects, 'utf8')).toBe('');
    await importFile(db.pool, id, file);
    const former = await readFile(rejects, 'utf8');
    expect(await rejectsIn(rejects)).toMatchObject([{ original: 'wrong,row' }]);
    const clean = await folder.write('clean.csv', people(3, 10));
    await importFile(db.pool, id, clean, { rejects, dryRun: true });
    expect(await readFile(rejects, 'utf8')).toBe(former);
    await importFile(db.pool, id, clean, { rejects });
    expect(await folder.names()).not.toContain('again.rejects.csv');
  });

  test('of a former import stays when the next one fails', async () => {
    const id = await newCampaign();
    const file = await folder.write('former.csv', `${people(10)}wrong,row\n`);
    await importFile(db.pool, id, file);
    await folder.write('former.csv', `${people(5, 10)}other,row\n"open`);
    await expect(importFile(db.pool, id, file)).rejects.toMatchObject({ code: 'csv-quote' });
    expect(await rejectsIn(path.join(folder.path, 'former.rejects.csv'))).toMatchObject([
      { original: 'wrong,row' },
    ]);
    expect((await folder.names()).filter((name) => /^former.*partial/.test(name))).toEqual([]);
  });
});
