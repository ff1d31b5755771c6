import { SendstateError } from '../errors.ts';

/** Where a happening is told: a URL that is posted to, or a command that a shell runs. */
export type Target =
  | {
      readonly kind: 'url';
      readonly url: string;
      /** For `Authorization`, when the URL names a user. */
      readonly basic: string | null;
      /** What may be shown: the origin; paths and queries of such URLs are often secrets. */
      readonly shown: string;
    }
  | { readonly kind: 'command'; readonly command: string; readonly shown: string };

/** What begins with http:// or https:// is a URL, everything else a command. @throws SendstateError `hook-url` */
export function parseTarget(text: string): Target {
  if (!/^https?:/i.test(text)) {
    if (text.trim() === '' || text.includes('\0'))
      throw new SendstateError('hook-url', 'A hook is a command or a URL; this is neither');
    const [first = ''] = text.trim().split(/\s+/, 1);
    // An assignment in front may be a secret.
    return { kind: 'command', command: text, shown: first.includes('=') ? 'a command' : first };
  }
  if (!URL.canParse(text)) {
    throw new SendstateError('hook-url', 'The URL of the hook cannot be read', {
      hint: 'Write it as https://example.com/hook, special characters percent-encoded.',
    });
  }
  const url = new URL(text);
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const basic = user === ':' ? null : Buffer.from(user, 'utf8').toString('base64');
  url.username = '';
  url.password = '';
  return { kind: 'url', url: url.href, basic, shown: url.origin };
}
