import { SendstateError } from '../errors.ts';

/** What the first row says about the rows below it. */
export interface Columns {
  /** Every column as it is known to the templates, in file order; the address column included. */
  readonly names: readonly string[];
  /** Which cell holds the address. */
  readonly addressIndex: number;
}

export interface ColumnOptions {
  /** Name to column: `{ email: 'Kontakt' }` says where the address is; any other name renames a column for the templates. */
  readonly map?: Readonly<Record<string, string>>;
  /** For messages. Default 'the file'. */
  readonly fileName?: string;
}

/** Compared without case, white space and punctuation. */
const addressNames = new Set([
  'email',
  'mail',
  'emailaddress',
  'mailaddress',
  'emailaddr',
  '이메일',
  '이메일주소',
  '메일',
  '메일주소',
  '전자우편',
  '전자우편주소',
  '전자메일',
  '전자메일주소',
]);

const addressKey = 'email';

/**
 * Characters of a column's name. 200: it stands beside the value in every row of the table, so that a long one is paid for
 * as often as there are people.
 */
const maxNameChars = 200;

/**
 * Finds the address column by its name and names the variables. Names are trimmed, runs of white space become one
 * space, and Hangul that a Mac wrote in pieces (NFD) is put together, so that `{{이름}}` in a template finds it.
 *
 * @throws SendstateError `csv-columns` for empty or repeated names, `csv-address-column`, `csv-map`
 */
export function readColumns(header: readonly string[], options: ColumnOptions = {}): Columns {
  const file = options.fileName ?? 'the file';
  const written = header.map(cleanName);
  for (const [index, name] of written.entries()) checkName(name, index, written, file);
  const mapped = mappedColumns(written, options.map ?? {}, file);
  const addressIndex = mapped.get(addressKey) ?? findAddress(written, file);
  const names = [...written];
  for (const [name, index] of mapped) {
    if (index !== addressIndex) names[index] = name;
  }
  const variables = names.filter((_, index) => index !== addressIndex);
  const repeated = variables.find((name, index) => variables.indexOf(name) !== index);
  if (repeated !== undefined) {
    throw new SendstateError('csv-map', `${file}: after renaming, two columns are called "${repeated}".`, {
      hint: 'Give one of them another name with --map.',
    });
  }
  if (variables.includes(addressKey)) {
    throw new SendstateError(
      'csv-map',
      `${file}: the addresses are in "${shorten(written[addressIndex] ?? '')}", and another column is called "${addressKey}".`,
      {
        hint: `In templates {{${addressKey}}} is always the recipient's address. Give the other column another name: --map other_${addressKey}=${addressKey}`,
      },
    );
  }
  return { names, addressIndex };
}

/** Whether a first row looks like one: an address column (or all mapped columns) can be found in it. */
export function hasAddressColumn(
  header: readonly string[],
  map: Readonly<Record<string, string>> = {},
): boolean {
  const wanted = Object.hasOwn(map, addressKey) ? map[addressKey] : undefined;
  if (wanted !== undefined) return header.some((name) => sameName(name, wanted));
  return header.some((name) => addressNames.has(nameKey(name)));
}

function cleanName(name: string): string {
  return name.normalize('NFC').replace(/\s+/gu, ' ').trim();
}

function nameKey(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s\p{P}\p{Cf}]/gu, '');
}

function sameName(left: string, right: string): boolean {
  return cleanName(left).toLowerCase() === cleanName(right).toLowerCase();
}

function checkName(name: string, index: number, names: readonly string[], file: string): void {
  const hint =
    'The first row names the columns, each differently; the names are what templates use. Correct it and import again.';
  const at = `${file}, first row: column ${index + 1}`;
  if (name === '') throw new SendstateError('csv-columns', `${at} has no name.`, { hint });
  if (/\p{Cc}/u.test(name)) {
    throw new SendstateError('csv-columns', `${at} has control characters in its name.`, {
      hint: 'If the file is UTF-16 without a byte order mark, say --encoding utf-16le.',
    });
  }
  if (name.length > maxNameChars) {
    throw new SendstateError(
      'csv-columns',
      `${at} has a name of ${name.length} characters, more than ${maxNameChars}.`,
      { hint },
    );
  }
  const first = names.indexOf(name);
  if (first !== index) {
    throw new SendstateError(
      'csv-columns',
      `${at} has the same name as column ${first + 1}: "${shorten(name)}".`,
      { hint },
    );
  }
}

function mappedColumns(
  written: readonly string[],
  map: Readonly<Record<string, string>>,
  file: string,
): Map<string, number> {
  const mapped = new Map<string, number>();
  for (const [key, column] of Object.entries(map)) {
    const exact = written.indexOf(cleanName(column));
    const index = exact === -1 ? written.findIndex((name) => sameName(name, column)) : exact;
    if (index === -1) {
      throw new SendstateError(
        'csv-map',
        `${file} has no column "${shorten(column)}" (for --map ${shorten(key)}=…).`,
        {
          hint: `Its columns are: ${list(written)}.`,
        },
      );
    }
    mapped.set(cleanName(key), index);
  }
  return mapped;
}

function findAddress(written: readonly string[], file: string): number {
  const found = [...written.entries()].filter(([, name]) => addressNames.has(nameKey(name)));
  const [only, second] = found;
  if (only !== undefined && second === undefined) return only[0];
  if (only !== undefined) {
    const names = found.map(([, name]) => name);
    throw new SendstateError(
      'csv-address-column',
      `${file}: several columns may hold the address: ${list(names)}.`,
      {
        hint: `Say which one, for example --map email="${only[1]}".`,
      },
    );
  }
  const data = written.some((name) => name.includes('@'))
    ? 'The first row seems to be data: put a row with the names of the columns above it.'
    : `Its columns are: ${list(written)}. Say which one holds it: --map email=COLUMN.`;
  throw new SendstateError(
    'csv-address-column',
    `${file} has no column for the address (email, e-mail, 이메일, …).`,
    {
      hint: data,
    },
  );
}

/** As many names as fit into a message. */
function list(names: readonly string[]): string {
  const shown = names.slice(0, 20).map(shorten).join(', ');
  return names.length > 20 ? `${shown}, … (${names.length} in all)` : shown;
}

function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}
