import { hash } from 'node:crypto';
import { SendstateError } from '../errors.ts';
import { inOnePiece } from './body-encoder.ts';
import { envelopeFrom, messageIdDomain } from './envelope.ts';
import { dateHeader, unstructured } from './headers.ts';
import { type Address, mailbox, readAddress } from './mailbox.ts';
import {
  type Chunks,
  MAX_CHARACTERS,
  type Piece,
  type Row,
  refuseTooLong,
  renderText,
  Unrenderable,
} from './rendering.ts';
import { type Attachment, buildStructure } from './structure.ts';
import { type CompiledTemplates, compileTemplates, type MessageSource } from './template.ts';
import { BodyEncoders } from './transfer-encoding.ts';

/** A mail that is ready to be handed over. */
export interface ComposedMessage {
  /** Envelope sender; '' is the null sender. Without CR, LF, NUL, angle brackets and spaces; domain in A-labels. */
  readonly from: string;
  /** Envelope recipient, in the same form. */
  readonly to: string;
  /** CRLF line ends only, lines of at most 998 bytes, not dot-stuffed, ends with CRLF. */
  readonly raw: Buffer;
  /** With angle brackets; the same on every attempt. */
  readonly messageId: string;
  /** The body holds bytes above 127 (8BITMIME). Never: every body is encoded. */
  readonly eightBit: boolean;
  /** A local part is not ASCII, and the header says it in UTF-8. */
  readonly smtputf8: boolean;
}

/** A recipient for whom there can be no mail, and why, in words for the table. */
export interface Invalid {
  readonly kind: 'invalid';
  readonly why: string;
}

/** What a mail needs to know about a recipient. */
export interface MessageRecipient extends Row {
  readonly recipientId: number | string | bigint;
}

/** Everything about a campaign that its mails are made of. */
export interface MessageOptions {
  readonly campaignId: number | string | bigint;
  readonly source: MessageSource;
  readonly attachments: readonly Attachment[];
  /** Envelope sender for every recipient; '' the null sender; null: the address in the sender. */
  readonly bounceTo: string | null;
  /** What stands behind the @ of Message-IDs. Null: the domain of the sender's address. */
  readonly messageIdDomain: string | null;
}

export interface Composer {
  /** The mail for one recipient. Never throws for what a row holds. `now` is the Date header's time. */
  compose(recipient: MessageRecipient, now?: Date): ComposedMessage | Invalid;
  /** For previews. */
  readonly templates: CompiledTemplates;
}

/** Bounds on one mail. */
const LIMITS = {
  /** Characters of a rendered subject or extra header. 8,000: relays refuse more long before. */
  headerCharacters: 8_000,
};

/**
 * Compiles a campaign's message once, so that a mail costs its values and one concatenation.
 * @throws SendstateError as compileTemplates; `attachment-invalid`, `bounce-to-invalid`, `message-id-domain`
 */
export function compileMessage(options: MessageOptions): Composer {
  const templates = compileTemplates(options.source);
  const message = new CompiledMessage(options, templates);
  return { templates, compose: (recipient, now = new Date()) => message.compose(recipient, now) };
}

interface Body {
  readonly part: 'text' | 'html';
  /** Everything up to this body's Content-Transfer-Encoding. */
  readonly before: string;
  readonly encoders: BodyEncoders;
  readonly template: NonNullable<CompiledTemplates['text']>;
}

class CompiledMessage {
  readonly #templates: CompiledTemplates;
  readonly #campaignId: string;
  readonly #envelopeFrom: Address | null;
  readonly #messageIdDomain: string | null;
  readonly #bodies: readonly Body[];
  readonly #after: Buffer;
  readonly #subject: string | null;
  readonly #pieces: Piece[] = [];
  #dateSecond = Number.NaN;
  #date = '';

  constructor(options: MessageOptions, templates: CompiledTemplates) {
    this.#templates = templates;
    this.#campaignId = String(options.campaignId);
    this.#envelopeFrom = envelopeFrom(options.bounceTo);
    this.#messageIdDomain = messageIdDomain(options.messageIdDomain);
    const { subject, html, text } = options.source;
    const unique = hash('sha256', JSON.stringify([this.#campaignId, subject, html, text])).slice(0, 40);
    const present = { text: templates.text !== null, html: templates.html !== null };
    const structure = buildStructure(present, options.attachments, unique);
    this.#bodies = structure.gaps.map((gap) => {
      const template = gap.part === 'text' ? templates.text : templates.html;
      if (template === null)
        throw new Error(`The structure has a gap for ${gap.part}, which there is none of`);
      return {
        part: gap.part,
        before: inOnePiece(gap.before),
        template,
        encoders: new BodyEncoders(template.sample),
      };
    });
    // A message ends with a line break; a multipart's closing boundary brings its own.
    this.#after = structure.after.length > 0 ? structure.after : Buffer.from('\r\n');
    this.#subject = fixedSubject(templates.subject.fixed);
  }

  compose(recipient: MessageRecipient, now: Date): ComposedMessage | Invalid {
    try {
      return this.#compose(recipient, now);
    } catch (error) {
      if (error instanceof Unrenderable) return { kind: 'invalid', why: error.message };
      // A value's own nesting can exhaust the stack in the html parser; that is the row's fault and of no other.
      if (error instanceof RangeError && /call stack|string length/i.test(error.message)) {
        return { kind: 'invalid', why: `cannot be rendered: ${error.message}` };
      }
      throw error;
    }
  }

  #compose(recipient: MessageRecipient, now: Date): ComposedMessage | Invalid {
    const to = readAddress(recipient.address);
    if (to === null) return { kind: 'invalid', why: 'the address cannot be used in an envelope' };
    const { from, replyTo, headers, subject } = this.#templates;
    const sender = from.fixed ?? from.render(recipient);
    const messageId = this.#messageId(recipient, sender.address);
    let head = `${sender.header}\r\nTo: ${mailbox('', to.address, 4)}\r\n`;
    const reply = replyTo === null ? null : (replyTo.fixed ?? replyTo.render(recipient));
    if (reply !== null) head += `${reply.header}\r\n`;
    head += this.#subject ?? headerField('Subject', renderText(subject, recipient));
    head += `Message-ID: ${messageId}\r\n${this.#dateAt(now)}`;
    for (const { name, template } of headers) head += headerField(name, renderText(template, recipient));
    for (const body of this.#bodies) head += this.#body(body, recipient);
    const smtputf8 = to.smtputf8 || sender.smtputf8 || (reply?.smtputf8 ?? false);
    const envelope = this.#envelopeFrom;
    return {
      from: envelope === null ? sender.address : envelope.address,
      to: to.address,
      raw: smtputf8 ? Buffer.concat([Buffer.from(head, 'utf8'), this.#after]) : ascii(head, this.#after),
      messageId,
      eightBit: false,
      smtputf8: smtputf8 || (envelope?.smtputf8 ?? false),
    };
  }

  #body(body: Body, recipient: MessageRecipient): string {
    const pieces = this.#pieces;
    pieces.length = 0;
    const chunks = body.template.render(recipient, pieces);
    if (lengthOf(pieces, chunks) > MAX_CHARACTERS) refuseTooLong(body.part);
    const encoded = body.encoders.encode(pieces, chunks);
    return `${body.before}Content-Transfer-Encoding: ${encoded.encoding}\r\n\r\n${encoded.body}`;
  }

  /** From ids and address alone: the same on every attempt, another one in every database. */
  #messageId(recipient: MessageRecipient, sender: string): string {
    const domain = this.#messageIdDomain ?? sender.slice(sender.lastIndexOf('@') + 1);
    const about = `${this.#campaignId} ${recipient.recipientId} ${recipient.address} ${domain}`;
    return `<${this.#campaignId}.${recipient.recipientId}.${hash('sha1', about).slice(0, 20)}@${domain}>`;
  }

  #dateAt(now: Date): string {
    const second = Math.floor(now.getTime() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#date = `${dateHeader(now)}\r\n`;
    }
    return this.#date;
  }
}

function fixedSubject(subject: string | null): string | null {
  if (subject === null) return null;
  if (subject.length > LIMITS.headerCharacters) {
    throw new SendstateError('subject-too-long', `The subject has ${subject.length} characters`, {
      hint: `Keep it below ${LIMITS.headerCharacters}; what people see is the first 60.`,
    });
  }
  return headerField('Subject', subject);
}

function lengthOf(pieces: readonly Piece[], chunks: Chunks): number {
  let length = 0;
  for (const piece of pieces)
    length += (typeof piece === 'string' ? piece : (chunks.texts[piece] ?? '')).length;
  return length;
}

/** With its CRLF; '' when the value is empty. */
function headerField(name: string, value: string): string {
  if (value.length > LIMITS.headerCharacters) {
    throw new Unrenderable(`the ${name} header has more than ${LIMITS.headerCharacters} characters`);
  }
  const field = unstructured(name, value);
  if (field === null) throw new Unrenderable(`the ${name} header holds a URI that does not fit on a line`);
  return field === `${name}: ` ? '' : `${field}\r\n`;
}

function ascii(head: string, after: Buffer): Buffer {
  const raw = Buffer.allocUnsafe(head.length + after.length);
  raw.write(head, 0, 'latin1');
  after.copy(raw, head.length);
  return raw;
}
