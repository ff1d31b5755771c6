import { base64Body } from './base64.ts';
import type { BodyEncoder } from './body-encoder.ts';
import { quotedPrintableBody } from './quoted-printable.ts';
import type { Chunks, Piece } from './rendering.ts';
import { sevenBitBody } from './seven-bit.ts';

/** A body in its encoding. */
export interface EncodedBody {
  readonly encoding: BodyEncoder['name'];
  readonly body: string;
}

/** Share of UTF-8 bytes above 127 from which base64 (4/3 of all bytes) is shorter than quoted-printable (3 for each such byte). */
const BASE64_FROM = 1 / 6;

/**
 * The encoders for one part of a campaign: 7bit where values and text allow, else quoted-printable or base64, whichever
 * is shorter for the static text. A body that may change its encoding from mail to mail is fine: each says its own.
 */
export class BodyEncoders {
  readonly #prepared = new WeakMap<Chunks, readonly BodyEncoder[]>();
  readonly #compact: boolean;

  /** @param sample static text that the choice is made by */
  constructor(sample: string) {
    const bytes = Buffer.byteLength(sample);
    this.#compact = bytes > 0 && bytesAbove127(sample) / bytes >= BASE64_FROM;
  }

  encode(pieces: readonly Piece[], chunks: Chunks): EncodedBody {
    let encoders = this.#prepared.get(chunks);
    if (encoders === undefined) {
      encoders = this.#prepare(chunks);
      this.#prepared.set(chunks, encoders);
    }
    for (const encoder of encoders) {
      const body = encoder.encode(pieces);
      if (body !== null) return { encoding: encoder.name, body };
    }
    throw new Error('quoted-printable and base64 hold everything');
  }

  #prepare(chunks: Chunks): BodyEncoder[] {
    const general = this.#compact ? base64Body(chunks) : quotedPrintableBody(chunks);
    const plain = sevenBitBody(chunks);
    return plain === null ? [general] : [plain, general];
  }
}

function bytesAbove127(text: string): number {
  const ascii = text.replace(/\P{ASCII}+/gu, '').length;
  return Buffer.byteLength(text) - ascii;
}
