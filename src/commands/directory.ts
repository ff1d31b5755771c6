import { access, constants, mkdir } from 'node:fs/promises';
import { messageOf, SendstateError } from '../errors.ts';

/** Makes the directory that an option names, if need be. @throws SendstateError `directory`: nothing can be written there */
export async function makeDirectory(option: string, directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    await access(directory, constants.W_OK);
  } catch (error) {
    throw new SendstateError('directory', `Nothing can be written to ${directory}: ${messageOf(error)}`, {
      hint: `Name a directory that is yours, or that is not there yet: ${option} DIRECTORY`,
      cause: error,
    });
  }
}
