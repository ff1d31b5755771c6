import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/**
 * The layers, in the order of the flow: people.csv → import → queue → message → smtp → queue → report. A folder (or file of
 * `src/`) imports only what stands to its left here.
 */
const FLOW = [
  'errors',
  'version',
  'model',
  'database',
  'embedded',
  'import',
  'message',
  'smtp',
  'capture',
  'config',
  'queue',
  'relays',
  'campaigns',
  'worker',
  'report',
  'metrics',
  'hooks',
  'api',
  'web',
  'index',
  'commands',
  'cli',
];

/** Doors that the order would open and the design keeps shut: the mail path knows no table, and the queue no mail. */
const CLOSED = [
  ['import', 'embedded'],
  ['message', 'database'],
  ['message', 'import'],
  ['smtp', 'database'],
  ['smtp', 'import'],
  ['capture', 'database'],
  ['queue', 'message'],
  ['queue', 'smtp'],
];

/** Values in, values out: nothing here reads a clock, a file, a socket or a table. */
const PURE = [
  'import/csv.ts',
  'import/address.ts',
  'import/columns.ts',
  'import/delimiter.ts',
  'smtp/reply.ts',
  'smtp/classify.ts',
  'smtp/capabilities.ts',
  'smtp/reply-normal.ts',
  'smtp/reply-patterns.ts',
  'model/states.ts',
  'worker/retry.ts',
  'worker/ledger.ts',
  'relays/breaker.ts',
  'relays/throttle.ts',
  'report/format.ts',
];
const IMPURE =
  /^(node:(fs|net|tls|http|https|child_process|timers|process|os|dns|worker_threads)|pg|kysely)\b/;

/** Lines: the maximum of the rules of the house. */
const LONGEST = 320;

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

interface Import {
  readonly from: string;
  /** A file of src/, or the name of a package. */
  readonly to: string;
  readonly inside: boolean;
  /** Only types: nothing of it is there when the program runs. */
  readonly typesOnly: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll(path.sep, '/'))
  .sort();
const text = new Map(files.map((file) => [file, readFileSync(path.join(SRC, file), 'utf8')]));

const IMPORT =
  /^(?:import|export)\s(?:[^;'"]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|new URL\('([^']+\.ts)', import\.meta\.url\)/gm;

function importsOf(file: string): Import[] {
  return [...(text.get(file) ?? '').matchAll(IMPORT)].map((match) => {
    const to = (match[1] ?? match[2] ?? match[3]) as string;
    const names =
      /\{([^}]*)\}/
        .exec(match[0])?.[1]
        ?.split(',')
        .map((name) => name.trim()) ?? [];
    const typesOnly =
      /^(import|export)\s+type\b/.test(match[0]) ||
      (names.length > 0 && names.every((name) => name === '' || name.startsWith('type ')));
    if (!to.startsWith('.')) return { from: file, to, inside: false, typesOnly };
    const resolved = path.posix.normalize(path.posix.join(path.posix.dirname(file), to));
    return { from: file, to: resolved, inside: true, typesOnly };
  });
}

const imports = files.flatMap(importsOf);
/** The entry points of the package's subpaths stand where `index.ts` does. */
const ENTRIES = ['smtp.ts', 'capture.ts', 'queue.ts'];
const folderOf = (file: string) => {
  if (ENTRIES.includes(file)) return 'index';
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file.slice(0, -3);
};
const shown = ({ from, to }: Import) => `${from} → ${to}`;

describe('the layers', () => {
  test('the imports were found', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(imports.filter(({ inside }) => inside).length).toBeGreaterThan(150);
    expect(imports.filter(({ to, inside }) => inside && !text.has(to)).map(shown)).toEqual([]);
  });

  test('every folder has its place in the flow', () => {
    expect([...new Set(files.map(folderOf))].sort()).toEqual([...FLOW].sort());
  });

  test('a folder imports only what stands to its left in the flow', () => {
    const place = (file: string) => FLOW.indexOf(folderOf(file));
    const wrong = imports.filter(
      ({ from, to, inside }) => inside && folderOf(from) !== folderOf(to) && place(to) >= place(from),
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test('the mail path knows no table, and the queue knows no mail', () => {
    const wrong = imports.filter(({ from, to, inside }) =>
      CLOSED.some(([left, right]) => inside && folderOf(from) === left && folderOf(to) === right),
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test('model/ imports nothing', () => {
    const wrong = imports.filter(({ from, to }) => folderOf(from) === 'model' && folderOf(to) !== 'model');
    expect(wrong.filter(({ inside, to }) => !inside || folderOf(to) !== 'model').map(shown)).toEqual([]);
  });

  test('no import circle, type-only imports included', () => {
    const next = new Map(
      files.map((file) => [
        file,
        imports.filter(({ from, inside }) => inside && from === file).map(({ to }) => to),
      ]),
    );
    const circles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, way: readonly string[]) => {
      if (way.includes(file)) {
        circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
        return;
      }
      if (done.has(file)) return;
      for (const to of next.get(file) ?? []) visit(to, [...way, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  test('no file is dead: each is reached from the command line or from the library', () => {
    const alive = new Set<string>();
    const reach = (file: string) => {
      if (alive.has(file)) return;
      alive.add(file);
      for (const { to, inside } of importsOf(file)) if (inside) reach(to);
    };
    reach('cli.ts');
    for (const entry of ['index.ts', 'smtp.ts', 'capture.ts', 'queue.ts']) reach(entry);
    expect(files.filter((file) => !alive.has(file))).toEqual([]);
  });

  test('src/ stands alone: it imports neither bench/ nor test/, and no package that is only for development', () => {
    const outside = imports.filter(({ to }) => to.startsWith('..') || /\/(bench|test)\//.test(to));
    expect(outside.map(shown)).toEqual([]);
    const manifest: { dependencies: object; optionalDependencies?: object } = JSON.parse(
      readFileSync(path.join(SRC, '../package.json'), 'utf8'),
    );
    const shipped = new Set(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }));
    const nameOf = (to: string) =>
      to
        .split('/')
        .slice(0, to.startsWith('@') ? 2 : 1)
        .join('/');
    const missing = imports
      .filter(({ to, inside }) => !inside && !to.startsWith('node:'))
      .filter(({ to }) => !shipped.has(nameOf(to)));
    expect(missing.map(shown)).toEqual([]);
  });
});

describe('permissions', () => {
  const using = (pattern: RegExp) =>
    files.filter((file) =>
      (text.get(file) ?? '')
        .split('\n')
        .some((line) => !/^\s*(\*|\/\/|\/\*)/.test(line) && pattern.test(line)),
    );

  test('only cli.ts ends the process or sets its exit code', () => {
    expect(using(/process\.(exitCode|exit\()/)).toEqual(['cli.ts']);
  });

  test('only cli.ts and commands/ read the configuration and the environment', () => {
    const readers = imports.filter(({ to }) => to === 'config.ts').map(({ from }) => from);
    expect(readers.filter((file) => file !== 'cli.ts' && folderOf(file) !== 'commands')).toEqual([]);
    expect(
      using(/process\.env\b/).filter((file) => file !== 'cli.ts' && folderOf(file) !== 'commands'),
    ).toEqual([
      // What a child process inherits.
      'embedded/run.ts',
    ]);
  });

  test('only the command line imports commands/', () => {
    const wrong = imports.filter(
      ({ from, to, inside }) =>
        inside && folderOf(to) === 'commands' && from !== 'cli.ts' && folderOf(from) !== 'commands',
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test('only commands/ and cli.ts write to a terminal', () => {
    expect(
      using(/process\.(stdout|stderr)\b/).filter(
        (file) => file !== 'cli.ts' && folderOf(file) !== 'commands',
      ),
    ).toEqual([]);
  });

  test('what is pure stays pure', () => {
    expect(PURE.filter((file) => !text.has(file))).toEqual([]);
    const wrong = imports.filter(
      ({ from, to, inside, typesOnly }) =>
        !typesOnly &&
        (PURE.includes(from) || folderOf(from) === 'message') &&
        (inside ? folderOf(to) === 'database' && to !== 'database/tables.ts' : IMPURE.test(to)),
    );
    expect(wrong.map(shown)).toEqual([]);
    const clocks = using(/\bDate\.now\(|performance\.now\(|Math\.random\(|\bsetTimeout\(|\bsetInterval\(/);
    expect(clocks.filter((file) => PURE.includes(file))).toEqual([]);
  });

  test('no file exceeds 320 lines', () => {
    const long = files
      .map((file) => ({ file, lines: (text.get(file) ?? '').split('\n').length - 1 }))
      .filter(({ lines }) => lines > LONGEST);
    expect(long).toEqual([]);
  });
});
