import { SendstateError } from '../errors.ts';
import type { CsvReader, CsvRecord } from './csv.ts';
import { byteOrderMark, InvalidBytes, StrictDecoder } from './decode.ts';

/**
 * Bytes that are decoded and cut into records at a time. 4 KiB: some thirty rows, so that hardly any of them is alive when the
 * garbage collector comes by; what it meets alive is what makes a process ask for more and more memory. A million rows peaked at
 * 130 MB, with 16 KiB at 166 MB, for 0.4 s more of one core.
 */
const stepBytes = 4 * 1024;

export interface TextSourceOptions {
  /** For messages. */
  readonly fileName: string;
  /** What the caller said the encoding is, by its known name. */
  readonly said: string | null;
  /** What a look through the file found; null for a stream. */
  readonly looksLike: string | null;
}

/** Bytes to text to records, with the line and the byte named when something cannot be decoded. */
export class TextSource {
  readonly #bytes: AsyncIterator<Buffer>;
  readonly #options: TextSourceOptions;
  #decoder: StrictDecoder | null = null;
  #markBytes = 0;
  #piece: Buffer = Buffer.alloc(0);
  #ahead: string[] = [];
  #bytesRead = 0;

  constructor(bytes: AsyncIterable<Buffer>, options: TextSourceOptions) {
    this.#bytes = bytes[Symbol.asyncIterator]();
    this.#options = options;
  }

  /** What is known of it so far; of a stream that was ASCII to its end: utf-8. */
  get encoding(): string {
    return this.#decoder?.encoding ?? 'utf-8';
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** The first characters, which `records` will give again. */
  async head(chars: number): Promise<{ text: string; whole: boolean }> {
    let text = '';
    const lineOf = (before: string) => 1 + lineBreaks(text + before);
    while (text.length < chars) {
      const more = await this.#next(lineOf);
      if (more === null) return { text, whole: true };
      this.#ahead.push(more);
      text += more;
    }
    return { text: text.slice(0, chars), whole: false };
  }

  /** The records in small batches. */
  async *records(reader: CsvReader): AsyncGenerator<CsvRecord[]> {
    for (const text of this.#ahead) yield reader.push(text);
    this.#ahead = [];
    const lineOf = (before: string) => reader.line + lineBreaks(before);
    for (let text = await this.#next(lineOf); text !== null; text = await this.#next(lineOf)) {
      yield reader.push(text);
    }
    yield reader.end();
  }

  async close(): Promise<void> {
    await this.#bytes.return?.();
  }

  /** The next text; null at the end. */
  async #next(lineOf: (before: string) => number): Promise<string | null> {
    const more = this.#piece.length > 0 || (await this.#read());
    const decoder = this.#decoder;
    try {
      if (decoder === null) return null;
      if (!more) {
        const last = decoder.end();
        return last === '' ? null : last;
      }
      // An encoding that is not known yet is decided on as much as there is.
      const bytes = this.#piece.subarray(0, decoder.encoding === null ? this.#piece.length : stepBytes);
      this.#piece = this.#piece.subarray(bytes.length);
      return decoder.decode(bytes);
    } catch (error) {
      if (error instanceof InvalidBytes) throw this.#notDecodable(error, lineOf(error.before));
      throw error;
    }
  }

  /** Reads the next piece; false at the end. */
  async #read(): Promise<boolean> {
    const next = await this.#bytes.next();
    if (next.done === true) return false;
    this.#bytesRead += next.value.length;
    this.#piece = this.#decoder === null ? this.#start(next.value) : next.value;
    return true;
  }

  /** Chooses the decoder; returns what follows the byte order mark. */
  #start(first: Buffer): Buffer {
    const { fileName, said, looksLike } = this.#options;
    refuseBinary(first, fileName);
    const mark = byteOrderMark(first);
    if (mark !== null && said !== null && mark.encoding !== said) {
      throw new SendstateError(
        'encoding-mark',
        `${fileName} begins with the byte order mark of ${mark.encoding}, but the encoding was said to be ${said}.`,
        { hint: `Leave --encoding out, or say --encoding ${mark.encoding}.` },
      );
    }
    this.#markBytes = mark?.bytes ?? 0;
    this.#decoder = new StrictDecoder(said ?? mark?.encoding ?? looksLike);
    return first.subarray(this.#markBytes);
  }

  #notDecodable(error: InvalidBytes, line: number): SendstateError {
    const offset = this.#markBytes + error.byteOffset;
    const guessed = this.#options.said === null && this.#markBytes === 0;
    const neither = guessed && error.encoding === 'cp949' ? ' (and the file is not UTF-8 either)' : '';
    return new SendstateError(
      'encoding-bytes',
      `${this.#options.fileName}, line ${line}, byte ${offset}: not ${error.encoding}${neither}.`,
      {
        hint: guessed
          ? 'Say the encoding (--encoding utf-8, cp949, windows-1252, …), or save the file as UTF-8.'
          : 'Say another --encoding, or save the file as UTF-8.',
        cause: error,
      },
    );
  }
}

/** Files that people mean when they say "the Excel file". */
function refuseBinary(head: Buffer, fileName: string): void {
  const start = head.toString('hex', 0, 4);
  if (start === '504b0304' || start === 'd0cf11e0') {
    throw new SendstateError('csv-binary', `${fileName} is an Excel workbook or an archive, not a CSV.`, {
      hint: 'In Excel: File, Save As, "CSV UTF-8 (comma delimited)".',
    });
  }
  if (start.startsWith('1f8b')) {
    throw new SendstateError('csv-binary', `${fileName} is compressed (gzip).`, {
      hint: 'Unpack it on the way: gunzip -c FILE | sendstate import NAME -',
    });
  }
}

/** Line ends of any kind in a text. */
function lineBreaks(text: string): number {
  return text.match(/\r\n|\r|\n/g)?.length ?? 0;
}
