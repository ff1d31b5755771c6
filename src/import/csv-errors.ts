import { SendstateError } from '../errors.ts';

/** A character that cannot be told from the rest of CSV. */
export function wrongDelimiter(delimiter: string): SendstateError {
  return new SendstateError('csv-delimiter', `${JSON.stringify(delimiter)} cannot separate columns.`, {
    hint: 'The delimiter is one character, such as , or ; or | or a tab.',
  });
}

/** A row beyond the limit, without a quotation mark to blame. */
export function tooLong(fileName: string, line: number, limit: string): SendstateError {
  return new SendstateError('csv-record', `${fileName}, line ${line}: the row is longer than ${limit}.`, {
    hint: 'Is it a CSV file? Each person stands on a line of their own, after a first line with column names.',
  });
}

/** @param how  "never closed", "not closed within 4194304 characters" */
export function neverClosed(fileName: string, line: number, how: string): SendstateError {
  return new SendstateError(
    'csv-quote',
    `${fileName}, line ${line}: a quotation mark opens a cell and is ${how}.`,
    { hint: 'Close it, or double it ("") if it belongs to the text, and import again.' },
  );
}
