import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/embedded/run.ts';
import { makeScratch, removeScratch } from './scratch.ts';

const FILE = fileURLToPath(new URL('../faults/fixtures/first-release.tgz', import.meta.url));
const PACKAGES = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** The program as it was before the first of the later migrations. */
export interface FirstRelease {
  /** For `program` of `startCli`. */
  readonly program: string;
  remove(): Promise<void>;
}

/** Unpacks it beside a link to the installed packages: Node runs no TypeScript below node_modules/ itself. */
export async function firstRelease(): Promise<FirstRelease> {
  const directory = await makeScratch('first-release');
  const unpacked = await run('tar', ['-xzf', FILE, '-C', directory]);
  if (unpacked.status !== 0) throw new Error(`tar: ${unpacked.output}`);
  await symlink(PACKAGES, path.join(directory, 'node_modules'));
  return {
    program: path.join(directory, 'bin/sendstate.js'),
    remove: () => removeScratch(directory),
  };
}
