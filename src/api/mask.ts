/**
 * An address anywhere in a text: what stands before the @, quoted or not, and what stands after it. A relay's reply may hold
 * any number of them, percent-encoded in a URL, quoted-printable, or with an address literal (RFC 5321 §4.1.3), and what a spammer wrote is no address by any standard, so this takes more than the standards allow.
 */
const ADDRESS =
  /("[^"\n]*"|[^\s<>()[\],;:"@]+?)(@|%40|=40)(\[[^\]\s]*\]|[^\s<>()[\],;:"@]*[^\s<>()[\],;:"@.])/giu;

/** kim@example.com → k…@example.com, wherever it stands in the text. */
export function masked(text: string): string {
  return text.replace(ADDRESS, (_, local: string, at: string, domain: string) => {
    const [first = ''] = local.replace(/^"/, '');
    return `${first}…${at}${domain}`;
  });
}

/** Every string of a value, however deep it lies, masked; the rest as it was. */
export function maskedAll<T>(value: T): T {
  if (typeof value === 'string') return masked(value) as T;
  if (Array.isArray(value)) return value.map((one: unknown) => maskedAll(one)) as T;
  if (value === null || typeof value !== 'object' || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, maskedAll(one)])) as T;
}
