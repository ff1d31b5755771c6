import { compile, type DomNode, type HtmlToTextOptions } from 'html-to-text';

/**
 * html-to-text as we use it: no wrapping (the encodings fold), headings as written, a link as `text [address]`, a picture
 * as its alternative text. `seen` is told every link.
 */
export function newConverter(seen: (href: string, text: string) => void): (html: string) => string {
  const options: HtmlToTextOptions = {
    wordwrap: false,
    formatters: {
      link: (elem, walk, builder) => {
        const href: string = (elem.attribs?.href ?? '').trim();
        const text = textOf(elem).replace(/\s+/g, ' ').trim();
        walk(elem.children, builder);
        seen(href, text);
        if (href === '' || href.startsWith('#') || isSame(href, text)) return;
        builder.addInline(text === '' ? href : ` [${href}]`, { noWordTransform: true });
      },
      alternative: (elem, _walk, builder) => {
        const alt: string = elem.attribs?.alt ?? '';
        if (alt !== '') builder.addInline(alt, { noWordTransform: true });
      },
    },
    selectors: [
      { selector: 'a', format: 'link' },
      { selector: 'img', format: 'alternative' },
      // Tables in mails are layout: each cell is a line of its own, or words of neighbours would run together.
      ...['td', 'th'].map((selector) => ({
        selector,
        format: 'block',
        options: { leadingLineBreaks: 1, trailingLineBreaks: 1 },
      })),
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({
        selector,
        options: { uppercase: false },
      })),
    ],
  };
  return compile(options);
}

function textOf(node: Pick<DomNode, 'data' | 'children'>): string {
  const children = node.children ?? [];
  return (node.data ?? '') + children.map((child) => textOf(child)).join('');
}

/** Whether a link's address would only repeat its text. */
export function isSame(href: string, text: string): boolean {
  return href === text || href === `mailto:${text}`;
}
