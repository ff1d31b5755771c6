import { SendstateError } from '../errors.ts';
import type { Composer, MessageRecipient } from './compose.ts';
import { oneLine } from './headers.ts';
import { renderText } from './rendering.ts';

/** One mail, whole and in its parts, for people to look at. */
export interface Preview {
  readonly subject: string;
  /** Name and address as people read them. */
  readonly from: string;
  readonly to: string;
  /** Null: the mail has no such part. */
  readonly html: string | null;
  readonly text: string | null;
  /** Every header field as it goes on the wire, unfolded. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** The message itself, as an .eml file holds it. */
  readonly eml: Buffer;
}

/**
 * Renders the mail for one recipient.
 * @throws SendstateError `message-invalid` when there can be no mail for that row, with the reason
 */
export function previewOf(composer: Composer, recipient: MessageRecipient, now?: Date): Preview {
  const mail = composer.compose(recipient, now);
  if ('kind' in mail) {
    throw new SendstateError(
      'message-invalid',
      `The mail for ${recipient.address} cannot be made: ${mail.why}`,
      {
        hint: 'Correct the template, or the row in the CSV.',
      },
    );
  }
  const { subject, html, text, from } = composer.templates;
  return {
    subject: oneLine(renderText(subject, recipient)),
    from: (from.fixed ?? from.render(recipient)).readable,
    to: mail.to,
    html: html === null ? null : renderText(html, recipient),
    text: text === null ? null : renderText(text, recipient),
    headers: headerFields(mail.raw),
    eml: mail.raw,
  };
}

function headerFields(raw: Buffer): { name: string; value: string }[] {
  const head = raw.toString('utf8', 0, raw.indexOf('\r\n\r\n'));
  return head.split(/\r\n(?![ \t])/).map((field) => {
    const colon = field.indexOf(':');
    return {
      name: field.slice(0, colon),
      value: field
        .slice(colon + 1)
        .replaceAll('\r\n', '')
        .trim(),
    };
  });
}
