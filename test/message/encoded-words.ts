/** Decodes RFC 2047 encoded-words as a mail client does: white space between two of them goes. Unfolds. */
export function decodeWords(header: string): string {
  const unfolded = header.replace(/\r\n(?=[ \t])/g, '');
  const joined = unfolded.replace(
    /(=\?[^?\s]+\?[bq]\?[^?\s]*\?=)\s+(?==\?[^?\s]+\?[bq]\?[^?\s]*\?=)/gi,
    '$1',
  );
  return joined.replace(/=\?utf-8\?([bq])\?([^?\s]*)\?=/gi, (_word, kind: string, text: string) => {
    if (kind.toLowerCase() === 'b') return Buffer.from(text, 'base64').toString('utf8');
    const bytes = text
      .replace(/_/g, ' ')
      .replace(/=([0-9A-F]{2})/gi, (_hex, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(bytes, 'latin1').toString('utf8');
  });
}
