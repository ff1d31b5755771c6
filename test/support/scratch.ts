import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A new directory that other accounts can pass through, so that a server which root starts as another account can live in it. */
export async function makeScratch(name: string): Promise<string> {
  const scratch = await mkdtemp(path.join(tmpdir(), `sendstate-${name}-`));
  await chmod(scratch, 0o711);
  return scratch;
}

export async function removeScratch(scratch: string): Promise<void> {
  await rm(scratch, { recursive: true, force: true });
}
