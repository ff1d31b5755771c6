/**
 * The one error that people are meant to read.
 *
 * `message` says what happened and where (campaign, file, line); `hint` says what to do next, as a sentence or a
 * command to type; `code` is stable, for programs; `cause` keeps the original error for
 * programs and debuggers.
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
 * A URL that may be shown: the password becomes `***`. So does a user name that may be one: alone (some services take a token
 * there), the same as the password, or with a colon in it. Text that is no URL is not shown at all, because what cannot
 * be parsed cannot be cleaned.
 */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url) || strayAt(url)) return '(not a URL)';
  const parsed = new URL(url);
  // kim:secret@host parses too, as a scheme called kim: without a host there is no telling what is the password.
  if (parsed.host === '') return '(not a URL)';
  if (parsed.username !== '') parsed.username = shownUser(parsed.username, parsed.password);
  if (parsed.password !== '') parsed.password = '***';
  for (const key of new Set(parsed.searchParams.keys())) {
    if (/pass|pwd|secret|token|key|cred|sig/i.test(key)) parsed.searchParams.set(key, '***');
  }
  return parsed.href;
}

/**
 * Whether an @ stands behind the host. Where a URL has / ? or # in a password as they are, the parser takes what is
 * in front of them for host and port, and the rest of the password is in everything that it says.
 */
export function strayAt(url: string): boolean {
  const authority = url.indexOf('//') + 2;
  const end = /[/?#\\]/.exec(url.slice(authority));
  return end !== null && url.includes('@', authority + end.index);
}

/** A user name as it may be shown beside its password; `***` where it may itself be a secret. */
export function shownUser(user: string, password: string): string {
  return password === '' || user === password || /:|%3a/i.test(user) ? '***' : user;
}
