import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/**
 * The house: data walks through it one way, recipients → claim → message → smtp → record → progress. What each room may
 * import, besides its own files. Whoever adds a line here changes the architecture and says so in docs/architecture.md.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  version: [],
  database: ['errors'],
  recipients: ['errors'],
  message: ['errors'],
  smtp: ['errors', 'message'],
  campaigns: ['errors', 'database'],
  sending: ['errors', 'database', 'campaigns', 'message', 'smtp'],
  progress: ['database'],
  metrics: ['errors', 'version', 'database', 'sending'],
  hooks: ['errors', 'sending'],
  verbs: [
    'errors',
    'version',
    'database',
    'recipients',
    'message',
    'smtp',
    'campaigns',
    'sending',
    'progress',
  ],
  web: ['errors', 'version', 'database', 'campaigns', 'metrics', 'verbs'],
  index: [
    'errors',
    'version',
    'database',
    'recipients',
    'message',
    'smtp',
    'campaigns',
    'sending',
    'progress',
    'metrics',
    'hooks',
    'verbs',
    'web',
  ],
  config: ['errors', 'database', 'message', 'smtp'],
  commands: ['errors', 'config', 'database', 'progress', 'index'],
  cli: ['errors', 'version', 'config', 'commands'],
};
/** The words of the states: every room that names one takes it from here. */
const VOCABULARY = 'sending/states.ts';

/** Values in, values out: nothing here reads a clock, a file, a socket or a table. */
const PURE = [
  'recipients/read-csv.ts',
  'recipients/addresses.ts',
  'recipients/columns.ts',
  'recipients/delimiter.ts',
  'smtp/reply.ts',
  'smtp/classify.ts',
  'smtp/capabilities.ts',
  'sending/states.ts',
  'sending/retry.ts',
  'sending/holding.ts',
  'sending/breaker.ts',
  'sending/throttle.ts',
  'progress/format.ts',
];
const IMPURE =
  /^(node:(fs|net|tls|http|https|child_process|timers|process|os|dns|worker_threads)|pg|kysely)\b/;

/** Lines. About two hundred, say the rules of the house; beyond this nobody holds a file in the head. */
const LONGEST = 280;

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
const roomOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file.slice(0, -3));
const shown = ({ from, to }: Import) => `${from} → ${to}`;

describe('the layers of the house', () => {
  test('the imports were found', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(imports.filter(({ inside }) => inside).length).toBeGreaterThan(150);
    expect(imports.filter(({ to, inside }) => inside && !text.has(to)).map(shown)).toEqual([]);
  });

  test('every room is in the plan', () => {
    expect([...new Set(files.map(roomOf))].sort()).toEqual(Object.keys(ALLOWED).sort());
  });

  test('a room imports only what the plan lets it', () => {
    const wrong = imports.filter(
      ({ from, to, inside }) =>
        inside &&
        roomOf(from) !== roomOf(to) &&
        to !== VOCABULARY &&
        ALLOWED[roomOf(from)]?.includes(roomOf(to)) !== true,
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test('the plan holds no door that nobody uses', () => {
    const used = new Set(imports.map(({ from, to }) => `${roomOf(from)} → ${roomOf(to)}`));
    const unused = Object.entries(ALLOWED)
      .flatMap(([room, doors]) => doors.map((door) => `${room} → ${door}`))
      .filter((door) => !used.has(door));
    expect(unused).toEqual([]);
  });

  test('only the poller and the worker compose: campaigns, messages and relays meet there and nowhere else', () => {
    const meeting = imports.filter(
      ({ from, to }) => roomOf(from) === 'sending' && ['campaigns', 'message'].includes(roomOf(to)),
    );
    expect([...new Set(meeting.map(({ from }) => from))].sort()).toEqual([
      'sending/poller.ts',
      'sending/worker.ts',
    ]);
    const users = imports.filter(({ to }) => to === 'sending/poller.ts' || to === 'sending/worker.ts');
    expect(
      users.filter(({ from }) => !['sending', 'verbs', 'index'].includes(roomOf(from))).map(shown),
    ).toEqual([]);
  });

  test('nobody goes round in circles when the program runs', () => {
    const next = new Map(
      files.map((file) => [
        file,
        imports
          .filter(({ from, inside, typesOnly }) => inside && !typesOnly && from === file)
          .map(({ to }) => to),
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
    reach('index.ts');
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

describe('who may do what', () => {
  const using = (pattern: RegExp) =>
    files.filter((file) =>
      (text.get(file) ?? '')
        .split('\n')
        .some((line) => !/^\s*(\*|\/\/|\/\*)/.test(line) && pattern.test(line)),
    );

  test('only cli.ts ends the process or sets its exit code', () => {
    expect(using(/process\.(exitCode|exit\()/)).toEqual(['cli.ts']);
  });

  test('only cli.ts and commands/ read the configuration, and nobody else asks the environment', () => {
    const readers = imports.filter(({ to }) => to === 'config.ts').map(({ from }) => from);
    expect(readers.filter((file) => file !== 'cli.ts' && roomOf(file) !== 'commands')).toEqual([]);
    expect(
      using(/process\.env\b/).filter((file) => file !== 'cli.ts' && roomOf(file) !== 'commands'),
    ).toEqual([
      // What a child process inherits.
      'database/embedded-run.ts',
    ]);
  });

  test('nobody imports commands/ but the command line', () => {
    const wrong = imports.filter(
      ({ from, to, inside }) =>
        inside && roomOf(to) === 'commands' && from !== 'cli.ts' && roomOf(from) !== 'commands',
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test('only commands/ and cli.ts write to a terminal', () => {
    expect(
      using(/process\.(stdout|stderr)\b/).filter((file) => file !== 'cli.ts' && roomOf(file) !== 'commands'),
    ).toEqual([]);
  });

  test('what is pure stays pure', () => {
    expect(PURE.filter((file) => !text.has(file))).toEqual([]);
    const wrong = imports.filter(
      ({ from, to, inside, typesOnly }) =>
        !typesOnly &&
        (PURE.includes(from) || roomOf(from) === 'message') &&
        (inside ? roomOf(to) === 'database' && to !== 'database/tables.ts' : IMPURE.test(to)),
    );
    expect(wrong.map(shown)).toEqual([]);
    const clocks = using(/\bDate\.now\(|performance\.now\(|Math\.random\(|\bsetTimeout\(|\bsetInterval\(/);
    expect(clocks.filter((file) => PURE.includes(file))).toEqual([]);
  });

  test('no file is too long to hold in the head', () => {
    const long = files
      .map((file) => ({ file, lines: (text.get(file) ?? '').split('\n').length - 1 }))
      .filter(({ lines }) => lines > LONGEST);
    expect(long).toEqual([]);
  });
});
