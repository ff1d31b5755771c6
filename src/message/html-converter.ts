import { compile, type DomNode, type HtmlToTextOptions } from 'html-to-text';
import { Unrenderable } from './rendering.ts';

/** Bounds on html that a row brings along ({{{column}}}): the parser's work grows with their square. */
const LIMITS = {
  /** Tags that are open at once, counting those that are not closed. 50,000: a second; five in each turn of the longest loop. */
  open: 50_000,
  /** Tags at all. 200,000: two seconds of work, twenty in each turn of the longest loop. */
  tags: 200_000,
  /** Lists and quotations inside each other: each indents every line. 50: too deep to read. */
  indents: 50,
  /** Characters of a link's text that are compared with its address. 10,000: no address is as long, and links may hold links. */
  linkText: 10_000,
};

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
        const text = textOf(elem, LIMITS.linkText).replace(/\s+/g, ' ').trim();
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
  const convert = compile(options);
  return (html) => {
    refuseEndless(html);
    return convert(html);
  };
}

/** Elements that indent what they hold. */
const INDENTING = /^(?:ul|ol|blockquote)$/;
/** Elements that have no end. */
const VOID = /^(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)$/;
const TAG = /<(\/?)([a-z][a-z0-9]*)/gi;

/** How many tags there are, and an upper bound of how many are open at once, from their names alone. @throws Unrenderable */
function refuseEndless(html: string): void {
  const open = new Map<string, number>();
  let all = 0;
  let tags = 0;
  let indents = 0;
  for (const [, slash, word = ''] of html.matchAll(TAG)) {
    if (++tags > LIMITS.tags) throw new Unrenderable(`more than ${LIMITS.tags} html tags`);
    const name = word.toLowerCase();
    const deeper = INDENTING.test(name) ? 1 : 0;
    if (VOID.test(name)) continue;
    const before = open.get(name) ?? 0;
    if (slash === '') {
      open.set(name, before + 1);
      indents += deeper;
      if (indents > LIMITS.indents)
        throw new Unrenderable(`more than ${LIMITS.indents} html lists inside each other`);
      if (++all > LIMITS.open)
        throw new Unrenderable(`more than ${LIMITS.open} html tags that are not closed`);
    } else if (before > 0) {
      open.set(name, before - 1);
      indents -= deeper;
      all--;
    }
  }
}

/** The text in a node, and nothing more once it has `enough` characters. */
function textOf(node: Pick<DomNode, 'data' | 'children'>, enough: number): string {
  let text = node.data ?? '';
  for (const child of node.children ?? []) {
    if (text.length > enough) break;
    text += textOf(child, enough - text.length);
  }
  return text;
}

/** Whether a link's address would only repeat its text. */
export function isSame(href: string, text: string): boolean {
  return href === text || href === `mailto:${text}`;
}
