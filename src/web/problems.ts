import { isTransient } from '../database/prepare.ts';
import { codeOf } from '../database/problems.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { Trouble } from './events.ts';

/** An error as a viewer is told of it: never a stack, never the words of an error that was not written for people. */
export interface Told {
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 422 | 429 | 500 | 503;
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

const STATUS: readonly (readonly [RegExp, Told['status']])[] = [
  [/-unknown$/, 404],
  [/^message-invalid$/, 422],
  [/^campaign-/, 409],
  [/^web-login$/, 401],
  [/^web-(read-only|masked|origin|host)$/, 403],
  [/^web-slow-down$/, 429],
  [/^web-too-large$/, 413],
  [/^web-/, 400],
  [/^(database|schema)-/, 503],
];

export function tell(error: unknown): Told {
  if (error instanceof SendstateError) {
    const status = STATUS.find(([pattern]) => pattern.test(error.code))?.[1] ?? 500;
    return { status, code: error.code, message: error.message, hint: error.hint ?? null };
  }
  if (isTransient(error) || isTimeout(error)) {
    return {
      status: 503,
      code: 'database-unreachable',
      message: 'The database does not answer',
      hint: 'The page goes on by itself when it is back. If it lasts: sendstate doctor',
    };
  }
  return {
    status: 500,
    code: 'unexpected',
    message: 'Something unexpected went wrong in the server',
    hint: 'The terminal in which it runs says more.',
  };
}

/** For the reader of the log: the error's own code and words; where it has no code, the kind that a viewer is told of. */
export function troubleOf(error: unknown): Trouble {
  const { code } = tell(error);
  const own = error instanceof SendstateError ? code : codeOf(error) || code;
  return { code: own, message: messageOf(error) };
}

/** True when it is reported nowhere else: the caller should write it down. */
export function isUnexpected(error: unknown): boolean {
  return tell(error).code === 'unexpected';
}

/** pg's own words for a statement that was not answered in the time that we gave it. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}
