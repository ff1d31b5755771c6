/**
 * The one error that people are meant to read.
 *
 * `message` says what happened and where (campaign, file, line); `hint` says what to do next, as a sentence or a
 * command to type; `code` is stable, for programs; `cause` keeps the original error for `--verbose` and for debuggers.
 * Neither message nor hint may carry a password: pass URLs through `withoutPassword` first.
 */
export class SendstateError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SendstateError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The words of an unknown thrown value, for a message; never a stack. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '' && error.errors.length > 0) {
    return messageOf(error.errors[0]);
  }
  return error instanceof Error ? error.message : String(error);
}

/**
 * A URL that may be shown: user names stay, the password becomes `***`. Text that is no URL is not shown at all,
 * because what cannot be parsed cannot be cleaned.
 */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return '(not a URL)';
  const parsed = new URL(url);
  // kim:secret@host parses too, as a scheme called kim: without a host there is no telling what is the password.
  if (parsed.host === '') return '(not a URL)';
  if (parsed.password !== '') parsed.password = '***';
  for (const key of parsed.searchParams.keys()) {
    if (/pass|secret|token|key/i.test(key)) parsed.searchParams.set(key, '***');
  }
  return parsed.href;
}
