import MailComposer from 'nodemailer/lib/mail-composer';
import type MimeNode from 'nodemailer/lib/mime-node';
import { SendstateError } from '../errors.ts';
import { base64Lines } from './base64.ts';
import { BOUNDARY_MARK } from './seven-bit.ts';

/** A file that every mail of a campaign carries. */
export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  /** For inline pictures: the html says `cid:` and this. Null: an ordinary attachment. */
  readonly contentId: string | null;
  readonly content: Buffer;
}

/** One body that differs from mail to mail. */
export interface Gap {
  readonly part: 'text' | 'html';
  /**
   * Everything since the gap before it, with the headers of this part; its Content-Transfer-Encoding and the empty line
   * are still to be written.
   */
  readonly before: string;
}

/** A message's MIME structure, cut where mails differ. ASCII, CRLF. */
export interface Structure {
  readonly gaps: readonly Gap[];
  /** Everything after the last body; for attachments, most of the message. */
  readonly after: Buffer;
}

const MARKS = { text: 'body-of-text', html: 'body-of-html' } as const;

/**
 * Builds the structure with nodemailer's MailComposer and cuts it.
 *
 * Boundaries hold "=_", which neither quoted-printable nor base64 can produce, and `unique`, which makes them the same on
 * every attempt and different for every campaign.
 * @param unique hexadecimal, at least 128 bits
 * @throws SendstateError `attachment-invalid`
 */
export function buildStructure(
  parts: { readonly text: boolean; readonly html: boolean },
  attachments: readonly Attachment[],
  unique: string,
): Structure {
  const root = new MailComposer({
    ...(parts.text ? { text: MARKS.text } : {}),
    ...(parts.html ? { html: MARKS.html } : {}),
    attachments: attachments.map(composerAttachment),
    baseBoundary: unique,
    boundaryPrefix: BOUNDARY_MARK,
  }).compile();
  const gaps: Gap[] = [];
  let rest = write(root, true);
  for (const part of ['text', 'html'] as const) {
    if (!parts[part]) continue;
    const [before, after] = cut(rest, MARKS[part]);
    gaps.push({ part, before });
    rest = after;
  }
  return { gaps, after: Buffer.from(rest, 'latin1') };
}

/** The tree as text. nodemailer would stream it; here everything is at hand and the result is needed at once. */
function write(node: MimeNode, isRoot: boolean): string {
  const headers = node.buildHeaders();
  const own = isRoot ? mimeHeaders(headers) : headers;
  if (node.childNodes.length === 0) return `${own}\r\n\r\n${writeContent(node)}`;
  const delimiter = `--${node.boundary}`;
  const children = node.childNodes.map((child) => `${delimiter}\r\n${write(child, false)}`);
  return `${own}\r\n\r\n${children.join('\r\n')}\r\n${delimiter}--\r\n`;
}

function writeContent(node: MimeNode): string {
  if (typeof node.content === 'string') return node.content;
  if (Buffer.isBuffer(node.content)) return base64Lines(node.content).trimEnd();
  throw new Error('The structure holds a part that is neither text nor a file');
}

/** Of the root's headers only those that describe the content; From, Date and the like belong to each mail. */
function mimeHeaders(headers: string): string {
  const fields = headers.split(/\r\n(?![ \t])/);
  return fields.filter((field) => /^(?:MIME-Version|Content-)/i.test(field)).join('\r\n');
}

/** Takes the mark and the encoding that was chosen for it out of the text. */
function cut(text: string, mark: string): readonly [before: string, after: string] {
  const at = text.indexOf(`\r\n\r\n${mark}`);
  if (at < 0) throw new Error(`The structure lacks its ${mark}`);
  const startOfPart = text.lastIndexOf('\r\n\r\n', at - 1) + 1;
  const headers = text.slice(startOfPart, at).replace(/Content-Transfer-Encoding: 7bit(?:\r\n|$)/, '');
  return [`${text.slice(0, startOfPart)}${headers.trimEnd()}\r\n`, text.slice(at + 4 + mark.length)];
}

/** RFC 2045 §5.1, with parameters. */
const CONTENT_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/;
const CONTENT_ID = /^[!-;=?-~]{1,200}$/;

function composerAttachment(attachment: Attachment): object {
  const { filename, contentType, contentId, content } = attachment;
  const fail = (what: string, hint: string): never => {
    throw new SendstateError('attachment-invalid', `The attachment ${JSON.stringify(filename)} ${what}`, {
      hint,
    });
  };
  if (filename === '' || filename.length > 255)
    fail('has no proper file name', 'Give it 1 to 255 characters.');
  if (!CONTENT_TYPE.test(contentType)) {
    fail(`has the content type ${JSON.stringify(contentType)}`, 'Write it as image/png or application/pdf.');
  }
  if (contentId !== null && !CONTENT_ID.test(contentId)) {
    fail(`has the content id ${JSON.stringify(contentId)}`, 'Use ASCII letters, digits, dots and hyphens.');
  }
  // A message or multipart inside a message may not be encoded (RFC 2046 §5.2.1), and its bytes are not ours to check.
  const opaque = /^(?:message|multipart)\//i.test(contentType);
  return {
    filename,
    contentType: opaque ? 'application/octet-stream' : contentType,
    contentTransferEncoding: 'base64',
    content,
    ...(contentId === null ? {} : { cid: contentId }),
  };
}
