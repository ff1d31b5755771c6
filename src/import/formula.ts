/**
 * Characters with which a cell becomes a formula when a spreadsheet opens it, quoted or not (OWASP, CSV injection), the
 * full-width ones of East Asian keyboards included. The apostrophe itself is among them so that the mark can be taken off.
 */
const START = "=+\\-@'＝＋－＠";

/** At the beginning of a cell, also behind white space, which some spreadsheets skip. */
const LEADING = new RegExp(`^(?:[\\t\\r\\n]|[ \\u00a0]*[${START}])`, 'u');

/**
 * Behind a character that is the list separator somewhere: a spreadsheet whose separator is `;` begins a cell at each one,
 * whatever the quotation marks say, because those of a file with commas do not stand where it looks for them.
 */
const BEHIND_SEPARATOR = new RegExp(`([;,\\t|][ "]*)(?=[${START}])`, 'gu');

/** C0 without tab, line feed and carriage return; DEL; C1. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal must not be given
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/**
 * A text as a cell of a CSV that a spreadsheet or a terminal may be given: an apostrophe stands before everything that would
 * begin a formula, and control characters are shown by their pictures (ESC as ␛).
 */
export function safeCell(text: string): string {
  const shown = text.replace(CONTROL, (found) => {
    const code = found.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  });
  const marked = shown.replace(BEHIND_SEPARATOR, "$1'");
  return LEADING.test(marked) ? `'${marked}` : marked;
}
