const CR = 13;
const LF = 10;
const DOT = 46;
const CRLF = Buffer.from('\r\n');

/** Looked at in pieces, so that no message is ever copied whole into a string. Bytes. */
const PIECE_BYTES = 65_536;
const IRREGULAR = /\r(?!\n)|(?<!\r)\n/;
const IRREGULAR_OR_DOT = /\r(?!\n)|(?<!\r)\n|\n\./;

/**
 * A message as DATA carries it, up to but not including its terminating dot (safety rule 9, RFC 5321 sections 2.3.8
 * and 4.5.2): every bare CR and bare LF becomes CRLF, so that no relay may see a line end where another sees none
 * ("SMTP smuggling"), then dots at the start of a line are doubled, and the last line ends. The same buffer comes back
 * when there is nothing to do, which is the ordinary case: finding out costs about half a microsecond a kilobyte.
 */
export function dataForm(message: Buffer): Buffer {
  if (message.length === 0) return message;
  if (message[0] !== DOT && isTerminated(message) && !found(message, IRREGULAR_OR_DOT)) return message;
  return stuffed(chunkForm(message));
}

/** A message as BDAT carries it: line ends as in dataForm, no dots doubled. */
export function chunkForm(message: Buffer): Buffer {
  if (message.length === 0) return message;
  const regular = found(message, IRREGULAR) ? regularLines(message) : message;
  return isTerminated(regular) ? regular : Buffer.concat([regular, CRLF]);
}

function isTerminated(message: Buffer): boolean {
  return message[message.length - 2] === CR && message[message.length - 1] === LF;
}

function found(message: Buffer, pattern: RegExp): boolean {
  if (message.length <= PIECE_BYTES) return pattern.test(message.toString('latin1'));
  for (let at = 0; at < message.length; at += PIECE_BYTES) {
    // One byte more on either side, and two at the end for `LF .`: no pair may hide in a cut. What is cut off there
    // can only be taken for a lone CR or LF by mistake, which costs a second look and changes nothing.
    const piece = message.toString(
      'latin1',
      Math.max(0, at - 1),
      Math.min(message.length, at + PIECE_BYTES + 1),
    );
    if (pattern.test(piece)) return true;
  }
  return false;
}

function regularLines(message: Buffer): Buffer {
  const out = Buffer.allocUnsafe(2 * message.length);
  let length = 0;
  for (let i = 0; i < message.length; i++) {
    const byte = message[i] ?? 0;
    if (byte !== CR && byte !== LF) {
      out[length++] = byte;
      continue;
    }
    if (byte === CR && message[i + 1] === LF) i++;
    out[length++] = CR;
    out[length++] = LF;
  }
  return out.subarray(0, length);
}

function stuffed(message: Buffer): Buffer {
  const parts: Buffer[] = [];
  let from = 0;
  for (let line = 0; line < message.length; ) {
    if (message[line] === DOT) {
      // The line's own dot begins the next part, so it is written twice.
      parts.push(message.subarray(from, line + 1));
      from = line;
    }
    const lf = message.indexOf(LF, line);
    line = lf < 0 ? message.length : lf + 1;
  }
  parts.push(message.subarray(from));
  return Buffer.concat(parts);
}
