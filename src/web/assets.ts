import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROBLEMS } from './problem-words.ts';
import { WORDS } from './words.ts';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  /** Of the content, quoted as a header wants it. */
  readonly etag: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * Everything that a browser is given besides pages and data, by name: the files of assets/ as they are, the table of words, and
 * uPlot out of its package. Read once at the start.
 */
export async function loadAssets(): Promise<ReadonlyMap<string, Asset>> {
  const directory = path.join(import.meta.dirname, 'assets');
  const names = (await readdir(directory)).filter((name) => path.extname(name) in TYPES);
  const own = names.map(
    async (name): Promise<[string, Buffer]> => [name, await readFile(path.join(directory, name))],
  );
  const uplot = (file: string) => readFile(fileURLToPath(import.meta.resolve(`uplot/dist/${file}`)));
  const files: [string, Buffer][] = [
    ...(await Promise.all(own)),
    ['words.js', Buffer.from(moduleOf({ WORDS, PROBLEMS }))],
    // The small build is a script; one line makes a module of it. The package's own module is three times as large.
    ['uplot.js', Buffer.concat([await uplot('uPlot.iife.min.js'), Buffer.from('\nexport default uPlot;\n')])],
    ['uplot.css', await uplot('uPlot.min.css')],
  ];
  return new Map(files.map(([name, body]) => [name, assetOf(name, body)]));
}

/** A module that exports these values. */
function moduleOf(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};\n`)
    .join('');
}

function assetOf(name: string, body: Buffer): Asset {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 20)}"`;
  return { type: TYPES[path.extname(name)] ?? 'application/octet-stream', body, etag };
}
