import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { blocksOf, ROOT, textOf } from './markdown.ts';

const run = promisify(execFile);
const page = textOf('docs/api.md');
const blocks = blocksOf(page).filter(({ language }) => language === 'ts');
const TSC = path.join(ROOT, 'node_modules', '.bin', 'tsc');
/** Rows of the example's list that take part. */
const PEOPLE = 50;

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
}

let fresh: FreshDatabase;
let capture: CaptureServer;
let scratch: string;
/** A project that has installed the packed tarball, and of this clone's packages only those that the tarball depends on. */
let project: string;

beforeAll(async () => {
  fresh = await freshDatabase();
  capture = await startCapture();
  scratch = await makeScratch('api');
  project = path.join(scratch, 'project');
  await installTarball();
  const people = (await readFile(path.join(ROOT, 'examples', 'people.csv'), 'utf8')).split('\n');
  await mkdir(path.join(project, 'examples'));
  await writeFile(
    path.join(project, 'examples', 'people.csv'),
    `${people.slice(0, PEOPLE + 1).join('\n')}\n`,
  );
}, 180_000);

afterAll(async () => {
  await capture.close();
  await fresh.drop();
  await removeScratch(scratch);
});

/** Builds and packs in a copy, so that nothing is written into the clone; links what the manifest asks for. */
async function installTarball(): Promise<void> {
  const stage = path.join(scratch, 'stage');
  await mkdir(stage);
  const parts = ['bin', 'docs', 'examples', 'migrations'];
  const files = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md'];
  for (const part of [...parts, ...files])
    await cp(path.join(ROOT, part), path.join(stage, part), { recursive: true });
  await run(TSC, ['-p', 'tsconfig.build.json', '--outDir', path.join(stage, 'dist')], { cwd: ROOT });
  await cp(path.join(ROOT, 'src/web/assets'), path.join(stage, 'dist/web/assets'), { recursive: true });
  await run('npm', ['pack', '--ignore-scripts', '--silent'], { cwd: stage });
  const tarball = (await readdir(stage)).find((file) => file.endsWith('.tgz')) ?? '';
  const modules = path.join(project, 'node_modules');
  await mkdir(path.join(modules, '@types'), { recursive: true });
  await run('tar', ['-xzf', path.join(stage, tarball), '-C', modules]);
  await run('mv', [path.join(modules, 'package'), path.join(modules, 'sendstate')]);
  const { dependencies } = await manifest();
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    const link = path.join(modules, name);
    await mkdir(path.dirname(link), { recursive: true });
    await symlink(path.join(ROOT, 'node_modules', name), link);
  }
  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }');
}

const manifest = async (): Promise<Manifest> =>
  JSON.parse(await readFile(path.join(project, 'node_modules/sendstate/package.json'), 'utf8'));

/** Names that a declaration file exports, types included. */
async function exportsOf(types: string): Promise<string[]> {
  const text = await readFile(path.join(project, 'node_modules/sendstate', types), 'utf8');
  const listed = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, names = '']) =>
    names.split(',').map(
      (name) =>
        name
          .trim()
          .replace(/^type /, '')
          .split(' as ')
          .at(-1) ?? '',
    ),
  );
  const declared = [
    ...text.matchAll(/^export (?:declare )?(?:async )?(?:function|const|class|interface|type) (\w+)/gm),
  ].map(([, name = '']) => name);
  return [...listed, ...declared].filter((name) => name !== '');
}

test('every name that the package exports stands on the page', async () => {
  const missing: string[] = [];
  let seen = 0;
  for (const [subpath, entry] of Object.entries((await manifest()).exports)) {
    if (typeof entry === 'string') continue;
    for (const name of await exportsOf(entry.types)) {
      seen += 1;
      if (!new RegExp(`\\b${name}s?\\b`).test(page)) missing.push(`${subpath} ${name}`);
    }
  }
  expect(seen).toBeGreaterThan(60);
  expect(missing).toEqual([]);
});

test.each([
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'esnext', moduleResolution: 'bundler' },
])('a strict project compiles against the tarball without skipLibCheck: $moduleResolution', async (how) => {
  const folder = path.join(project, how.moduleResolution);
  await mkdir(folder);
  for (const [at, { code }] of blocks.entries()) await writeFile(path.join(folder, `block-${at}.ts`), code);
  await writeFile(
    path.join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...how,
        strict: true,
        skipLibCheck: false,
        noEmit: true,
        target: 'es2024',
        lib: ['es2024'],
        types: ['node'],
      },
    }),
  );
  const said = await run(TSC, ['-p', folder], { cwd: project }).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );
  expect(said).toBe('');
});

test('each example does what it says', async () => {
  expect(blocks.length).toBeGreaterThan(6);
  const said: string[] = [];
  for (const [at, { code }] of blocks.entries()) {
    const file = path.join(project, `example-${at}.ts`);
    await writeFile(file, code.replaceAll('smtp://127.0.0.1:2525', capture.url));
    const { stdout } = await run(process.execPath, [file], {
      cwd: project,
      env: { PATH: process.env.PATH, DATABASE_URL: fresh.url },
    });
    said.push(stdout);
  }
  const text = said.join('');
  for (const words of [
    'campaign-exists',
    `${PEOPLE} imported`,
    `ended ${PEOPLE} sent in 1 campaign`,
    `${PEOPLE} cancelled`,
    `true ${PEOPLE} put back`,
    'test mail sent: true',
    `idle ${PEOPLE} results`,
    "[ 'b@example.com' ] SmtpTransportError",
    '3 recorded true',
    '0 rescued',
  ])
    expect(text).toContain(words);
  expect(text.match(/^sent /gm)).toHaveLength(3);
}, 120_000);

test('the tarball holds no source map, no picture and no raw figures', async () => {
  const installed = path.join(project, 'node_modules/sendstate');
  const files = await readdir(installed, { recursive: true });
  expect(files.filter((file) => /\.(map|png|test\.ts)$|^docs\/(benchmarks|images)\//.test(file))).toEqual([]);
  expect(files).toContain(path.join('dist', 'web', 'assets', 'style.css'));
});
