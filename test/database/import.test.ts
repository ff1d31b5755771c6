import { access } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import iconv from 'iconv-lite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { duplicateInFile, duplicateInTable } from '../../src/import/chunk.ts';
import type { ImportPreview, ImportProgress } from '../../src/import/import.ts';
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

async function newCampaign(status?: string): Promise<number> {
  campaigns += 1;
  return await insertCampaign(db.pool, `import ${campaigns}`, status);
}

describe('a list', () => {
  test('becomes recipients with variables, in file order, and is counted', async () => {
    const id = await newCampaign();
    const file = await folder.write(
      'order.csv',
      '\ufeff이름;E-Mail;\\Order "No"\r\n김철수;Kim@Example.COM;"a\\b ""c""\r\n\td"\r\nLee;lee@한글.kr;\r\n',
    );
    const previews: ImportPreview[] = [];
    const report = await importFile(db.pool, id, file, { onPreview: (preview) => previews.push(preview) });
    const understood = {
      fileName: 'order.csv',
      encoding: 'utf-8',
      delimiter: ';',
      addressColumn: 'E-Mail',
      variables: ['이름', '\\Order "No"'],
    };
    expect(previews).toEqual([understood]);
    expect(report).toMatchObject({
      ...understood,
      read: 2,
      imported: 2,
      invalid: 0,
      rejectsFile: null,
      dryRun: false,
    });
    expect(await recipientsOf(db.pool, id)).toEqual([
      {
        address: 'Kim@example.com',
        vars: { 이름: '김철수', '\\Order "No"': 'a\\b "c"\r\n\td' },
        send_state: 0,
      },
      { address: 'lee@xn--bj0bj06e.kr', vars: { 이름: 'Lee', '\\Order "No"': '' }, send_state: 0 },
    ]);
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 2, real: 2 });
    await expect(access(path.join(folder.path, 'order.rejects.csv'))).rejects.toThrow('ENOENT');
  });

  test.each([
    ['cp949', undefined],
    ['cp949', 'euc-kr'],
    ['utf-16le', 'utf-16le'],
  ])('in %s (said: %s) keeps every letter', async (encoding, said) => {
    const id = await newCampaign();
    const text = 'name,메일\n똠방각하,ddom@x.kr\n펲시맨,pep@x.kr\n';
    const file = await folder.write(`${encoding}.csv`, iconv.encode(text, encoding));
    const report = await importFile(db.pool, id, file, { encoding: said });
    expect(report).toMatchObject({ encoding, imported: 2, addressColumn: '메일' });
    expect((await recipientsOf(db.pool, id)).map((row) => row.vars.name)).toEqual(['똠방각하', '펲시맨']);
  });

  test('in UTF-16 with a byte order mark and tabs, which is what Excel calls Unicode text', async () => {
    const id = await newCampaign();
    const file = await folder.write(
      'unicode.txt',
      Buffer.from('\ufeff이메일\t이름\r\na@x.kr\t똠\r\n', 'utf16le'),
    );
    const report = await importFile(db.pool, id, file);
    expect(report).toMatchObject({ encoding: 'utf-16le', delimiter: '\t', imported: 1 });
    expect(await recipientsOf(db.pool, id)).toMatchObject([{ address: 'a@x.kr', vars: { 이름: '똠' } }]);
  });

  test('from a pipe is decided when the first letter beyond ASCII comes, and goes to stdin.rejects.csv if told so', async () => {
    const id = await newCampaign();
    const bytes = iconv.encode(`${people(3000).replaceAll('이름', 'nm')}last@x.kr,똠\nlost,똠\n`, 'cp949');
    const rejects = path.join(folder.path, 'stdin.rejects.csv');
    const report = await importFile(db.pool, id, '-', { source: Readable.from([bytes]), rejects });
    expect(report).toMatchObject({
      encoding: 'cp949',
      read: 3002,
      imported: 3001,
      invalid: 1,
      rejectsFile: rejects,
    });
    expect(await rejectsIn(rejects)).toEqual([
      { line: 3003, reason: 'no @ in the address', original: 'lost,똠' },
    ]);
  });

  test('with names that JavaScript knows gives variables like any other', async () => {
    const id = await newCampaign();
    const file = await folder.write('proto.csv', 'email,__proto__,constructor,toString\na@x.kr,1,2,3\n');
    await importFile(db.pool, id, file);
    const { rows } = await db.pool.query<{ vars: string }>(
      'select vars::text from recipient where campaign_id = $1',
      [id],
    );
    expect(rows[0]?.vars).toBe('{"toString": "3", "__proto__": "1", "constructor": "2"}');
  });

  test('with columns renamed and the address column said', async () => {
    const id = await newCampaign();
    const file = await folder.write('map.csv', 'Kontakt,email,성함\na@x.kr,not this one,Kim\n');
    await importFile(db.pool, id, file, { map: { email: 'kontakt', name: '성함', old: 'email' } });
    expect(await recipientsOf(db.pool, id)).toMatchObject([
      { address: 'a@x.kr', vars: { old: 'not this one', name: 'Kim' } },
    ]);
  });
});

describe('rows that are not taken', () => {
  test('go to the rejects file in file order, with line, reason and original', async () => {
    const id = await newCampaign();
    await db.pool.query(`insert into recipient (campaign_id, address) values ($1, 'There@x.kr')`, [id]);
    const rows = [
      'name,email',
      'first,a@x.kr',
      '"two',
      'lines",a@x.kr.',
      'again,A@X.kr',
      'there,there@x.kr',
      'short',
      'far below,b@x.kr',
      ...Array.from({ length: 25 }, (_, index) => `filler,filler${index}@x.kr`),
      'again,B@x.kr',
      '=1+1,Kim <kim@x.kr>',
    ];
    const file = await folder.write('some.csv', rows.join('\n'));
    const report = await importFile(db.pool, id, file, { bounds: { chunkRows: 7 } });
    expect(report).toMatchObject({
      read: 33,
      imported: 27,
      duplicatesInFile: 2,
      duplicatesInTable: 1,
      invalid: 3,
      rejectsFile: path.join(folder.path, 'some.rejects.csv'),
    });
    expect(await rejectsIn(path.join(folder.path, 'some.rejects.csv'))).toEqual([
      { line: 3, reason: 'the domain after the @ is not valid', original: '"two\nlines",a@x.kr.' },
      { line: 5, reason: duplicateInFile, original: 'again,A@X.kr' },
      { line: 6, reason: duplicateInTable, original: 'there,there@x.kr' },
      { line: 7, reason: '1 column, but the first row has 2', original: 'short' },
      { line: 34, reason: duplicateInFile, original: 'again,B@x.kr' },
      {
        line: 35,
        reason: 'write the address alone, without a name and angle brackets',
        original: "'=1+1,Kim <kim@x.kr>",
      },
    ]);
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 27, real: 28 });
  });

  test('are the whole file when it is imported twice; the third time without rejects the old file is gone', async () => {
    const id = await newCampaign();
    const file = await folder.write('twice.csv', people(50));
    await importFile(db.pool, id, file, { bounds: { chunkRows: 20 } });
    const report = await importFile(db.pool, id, file, { bounds: { chunkRows: 30 } });
    expect(report).toMatchObject({ read: 50, imported: 0, duplicatesInFile: 0, duplicatesInTable: 50 });
    expect(await waitingOf(db.pool, id)).toEqual({ counted: 50, real: 50 });
    expect(await rejectsIn(path.join(folder.path, 'twice.rejects.csv'))).toHaveLength(50);
    await folder.write('twice.csv', people(50, 50));
    expect(await importFile(db.pool, id, file)).toMatchObject({ imported: 50, rejectsFile: null });
    expect(await folder.names()).not.toContain('twice.rejects.csv');
  });

  test('are only counted when no rejects file is wanted', async () => {
    const id = await newCampaign();
    const file = await folder.write('unwanted.csv', 'email\nx\n');
    expect(await importFile(db.pool, id, file, { rejects: null })).toMatchObject({
      invalid: 1,
      rejectsFile: null,
    });
    expect(await folder.names()).not.toContain('unwanted.rejects.csv');
  });
});

test('the size of the chunks makes no difference', async () => {
  const address = fc.constantFrom('a@x.kr', 'A@x.kr', 'b@x.kr', 'c@x.kr', 'd@y.kr', 'wrong', '"x"y');
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(address, { maxLength: 12 }),
      fc.integer({ min: 1, max: 13 }),
      async (addresses, chunkRows) => {
        run += 1;
        const file = await folder.write(`chunks${run}.csv`, ['email', ...addresses].join('\n'));
        const outcomes = [];
        for (const bounds of [{ chunkRows }, { chunkRows: 100 }, { chunkChars: 1 }]) {
          const id = await newCampaign();
          const { seconds, ...report } = await importFile(db.pool, id, file, { bounds });
          expect(seconds).toBeGreaterThan(0);
          const rejects = report.rejectsFile === null ? [] : await rejectsIn(report.rejectsFile);
          outcomes.push({
            report,
            rejects,
            people: await recipientsOf(db.pool, id),
            waiting: await waitingOf(db.pool, id),
          });
        }
        const [first, ...others] = outcomes;
        for (const other of others) expect(other).toEqual(first);
        const { read, imported, duplicatesInFile, duplicatesInTable, invalid } = first?.report ?? {};
        expect([read, duplicatesInTable]).toEqual([addresses.length, 0]);
        expect((imported ?? 0) + (duplicatesInFile ?? 0) + (invalid ?? 0)).toBe(addresses.length);
        expect(first?.rejects).toHaveLength(addresses.length - (imported ?? 0));
        expect(first?.waiting).toEqual({ counted: imported, real: imported });
      },
    ),
    { numRuns: 25 },
  );
});

test('ids follow the order of the file over many chunks, and progress is told', async () => {
  const id = await newCampaign();
  const file = await folder.write('long.csv', people(3000));
  const progress: ImportProgress[] = [];
  await importFile(db.pool, id, file, {
    bounds: { chunkRows: 450 },
    onProgress: (now) => progress.push(now),
  });
  const stored = await recipientsOf(db.pool, id);
  expect(stored.map((row) => row.address)).toEqual(
    Array.from({ length: 3000 }, (_, n) => `person${n}@example.com`),
  );
  expect(progress.map((now) => now.read)).toEqual([450, 900, 1350, 1800, 2250, 2700, 3000]);
  const last = progress.at(-1);
  expect(last).toMatchObject({ imported: 3000, rejected: 0, bytesRead: last?.bytesTotal });
});

test('a dry run reports the same and takes nothing', async () => {
  const id = await newCampaign('finished');
  const file = await folder.write('dry.csv', `${people(20)}wrong,row\nPerson1@example.com,again\n`);
  const dry = await importFile(db.pool, id, file, { dryRun: true });
  expect(await recipientsOf(db.pool, id)).toEqual([]);
  expect(await waitingOf(db.pool, id)).toEqual({ counted: 0, real: 0 });
  const status = await db.pool.query('select status from campaign where campaign_id = $1', [id]);
  expect(status.rows).toEqual([{ status: 'finished' }]);
  expect(await folder.names()).not.toContain('dry.rejects.csv');
  const rejectsFile = path.join(folder.path, 'dry.rejects.dry-run.csv');
  expect(await rejectsIn(rejectsFile)).toHaveLength(2);
  const wet = await importFile(db.pool, id, file);
  expect({ ...wet, rejectsFile, dryRun: true, seconds: 0 }).toEqual({ ...dry, seconds: 0 });
  expect(wet).toMatchObject({ imported: 20, duplicatesInFile: 1, invalid: 1, reopened: true });
});

describe('the campaign', () => {
  test('that had finished is paused and says why; with no new recipient it stays finished', async () => {
    const id = await newCampaign('finished');
    await db.pool.query('update campaign set finished_at = now() where campaign_id = $1', [id]);
    const file = await folder.write('late.csv', people(3));
    expect(await importFile(db.pool, id, file)).toMatchObject({ imported: 3, reopened: true });
    const state = () =>
      db.pool.query('select status, status_reason, finished_at from campaign where campaign_id = $1', [id]);
    const reason = `3 people were imported after it had finished. To send to them: sendstate send campaign ${id}`;
    expect((await state()).rows).toEqual([{ status: 'paused', status_reason: reason, finished_at: null }]);
    await db.pool.query(`update campaign set status = 'finished' where campaign_id = $1`, [id]);
    expect(await importFile(db.pool, id, file)).toMatchObject({ imported: 0, reopened: false });
    expect((await state()).rows).toMatchObject([{ status: 'finished' }]);
  });

  test.each(['draft', 'scheduled', 'running', 'paused'])('that is %s stays so', async (status) => {
    const id = await newCampaign('draft');
    await db.pool.query('update campaign set status = $2, start_at = now() where campaign_id = $1', [
      id,
      status,
    ]);
    const file = await folder.write(`${status}.csv`, people(3));
    expect(await importFile(db.pool, id, file)).toMatchObject({ imported: 3, reopened: false });
    const { rows } = await db.pool.query('select status from campaign where campaign_id = $1', [id]);
    expect(rows).toEqual([{ status }]);
  });

  test('that is cancelled or gone takes no recipient', async () => {
    const id = await newCampaign('cancelled');
    const file = await folder.write('refused.csv', people(3));
    await expect(importFile(db.pool, id, file)).rejects.toMatchObject({ code: 'campaign-cancelled' });
    await expect(importFile(db.pool, 987_654, file)).rejects.toMatchObject({ code: 'campaign-missing' });
    expect(await recipientsOf(db.pool, id)).toEqual([]);
  });
});
