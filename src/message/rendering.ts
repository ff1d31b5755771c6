/** What a template needs of a recipient. */
export interface Row {
  readonly address: string;
  /** The other columns of the CSV by name (`recipient.vars`). Strings from a CSV; any JSON from SQL. */
  readonly vars: Readonly<Record<string, unknown>>;
}

/**
 * One step of a rendered text: the index of a static chunk of the template, or a value that was filled in. Keeping the
 * two apart lets the encoders prepare every static chunk once per campaign.
 */
export type Piece = number | string;

/** The static chunks that the numbers among pieces refer to. Its identity is the key of what encoders prepared. */
export interface Chunks {
  readonly texts: readonly string[];
}

/** A compiled template. */
export interface Template {
  /** The same text for every recipient; null: it differs. */
  readonly fixed: string | null;
  /** Static text, for choosing an encoding before any mail is rendered. */
  readonly sample: string;
  /**
   * Appends the pieces for one row to `out`.
   * @throws Unrenderable when the row lacks a variable or breaks a limit
   */
  render(row: Row, out: Piece[]): Chunks;
}

/** How values are escaped on their way into a text. `uri`: percent-encoded where a URI in a header could not hold them. */
export type Escaping = 'html' | 'uri' | 'none';

/** Why a row cannot be rendered, in words for the recipient's row. */
export class Unrenderable extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'Unrenderable';
  }
}

/**
 * Characters that one part of one mail may have. 5 million: no relay takes more. Rendering cannot be interrupted, so what is
 * counted while it goes on is what keeps a row with a cell of 10 MB from stopping a worker.
 */
export const MAX_CHARACTERS = 5_000_000;

/** @throws Unrenderable */
export function refuseTooLong(part: string): never {
  throw new Unrenderable(`the ${part} has more than ${MAX_CHARACTERS} characters`);
}

/** `{{email}}` is the address that the mail goes to, whatever the CSV called that column. */
export const ADDRESS_VARIABLE = 'email';

/** The pieces as one string. */
export function join(pieces: readonly Piece[], chunks: Chunks): string {
  let text = '';
  for (const piece of pieces) text += typeof piece === 'string' ? piece : chunks.texts[piece];
  return text;
}

/**
 * A template as one string.
 * @throws Unrenderable
 */
export function renderText(template: Template, row: Row): string {
  if (template.fixed !== null) return template.fixed;
  const pieces: Piece[] = [];
  return join(pieces, template.render(row, pieces));
}

/**
 * The row's value of `name`, or undefined when the row lacks it. JSON null counts as lacking: a NULL from a user's
 * SQL must not become an empty hole in a greeting. Own properties only, so `{{constructor}}` is a column or nothing.
 * @throws Unrenderable for `email` when a column of that name says something else than the address
 */
export function valueIn(row: Row, name: string): unknown {
  const own = Object.hasOwn(row.vars, name) ? (row.vars[name] ?? undefined) : undefined;
  if (name !== ADDRESS_VARIABLE) return own;
  if (own !== undefined && own !== row.address) {
    throw new Unrenderable(
      '"email" is both the recipient\'s address and a different column: rename the column',
    );
  }
  return row.address;
}

const HTML_SPECIAL = /[&<>"'`=]/;
const HTML_SPECIALS = /[&<>"'`=]/g;
const HTML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#x27;',
  '`': '&#x60;',
  '=': '&#x3D;',
};

/** What RFC 3986 does not allow in a URI; its delimiters stay, because a whole URL may come from a column. */
const URI_FORBIDDEN = /[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]/u;
const URI_FORBIDDEN_ALL = /[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+/gu;

/** The value as it stands in the text. Escapes html exactly as Handlebars does. */
export function escapeValue(value: string, escaping: Escaping): string {
  if (escaping === 'none') return value;
  if (escaping === 'html') {
    return HTML_SPECIAL.test(value)
      ? value.replace(HTML_SPECIALS, (special) => HTML_ESCAPES[special] ?? special)
      : value;
  }
  // An IRI becomes a URI by percent-encoding its UTF-8 (RFC 3987 §3.1).
  return URI_FORBIDDEN.test(value)
    ? value.toWellFormed().replace(URI_FORBIDDEN_ALL, encodeURIComponent)
    : value;
}
