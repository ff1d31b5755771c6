import { type FlatNode, type FlatProgram, flatTemplate } from './flat-template.ts';
import { isSame, newConverter } from './html-converter.ts';
import {
  ADDRESS_VARIABLE,
  type Chunks,
  type Piece,
  type Row,
  renderText,
  type Template,
  valueIn,
} from './rendering.ts';

/**
 * The text part that is made from the html.
 *
 * Converting costs about a hundred times what the rest of a mail does, and for nearly every campaign the result is the
 * same text with other values in it. So the html template itself is converted, with a marker in place of each value, once
 * for each combination of empty and filled columns that occurs. Whatever could make the result depend on a value beyond
 * that (see `skeletonOf` and PLAIN_VALUE) is converted for each recipient instead; the result is the same either way.
 */
export function plainTextTemplate(html: Template, program: FlatProgram | null): Template {
  const converter = newConverter(() => undefined);
  const chunks: Chunks = { texts: [] };
  const convertRow = (row: Row, out: Piece[]): Chunks => {
    out.push(converter(renderText(html, row)));
    return chunks;
  };
  if (program === null) return { fixed: null, sample: converter(html.sample), render: convertRow };
  if (html.fixed !== null) return fixedTemplate(converter(html.fixed));
  const variables = variablesOf(program.nodes);
  const skeletons = new Map<string, Skeleton | null>();
  const render = (row: Row, out: Piece[]): Chunks => {
    const values: string[] = [];
    const pattern = patternOf(row, variables, values);
    if (pattern === null) return convertRow(row, out);
    let skeleton = skeletons.get(pattern);
    if (skeleton === undefined) {
      if (skeletons.size >= PATTERNS) return convertRow(row, out);
      skeleton = skeletonOf(program, variables, pattern);
      skeletons.set(pattern, skeleton);
    }
    if (skeleton === null || skeleton.doubtful.some((link) => saysTheSame(link, values)))
      return convertRow(row, out);
    for (let at = 0; at < skeleton.chunks.texts.length; at++) {
      out.push(at);
      const variable = skeleton.order[at];
      if (variable !== undefined) out.push(values[variable] ?? '');
    }
    return skeleton.chunks;
  };
  return { fixed: null, sample: converter(html.sample), render };
}

/** Combinations of empty and filled columns that are remembered. 256: eight optional columns; each costs a text. */
const PATTERNS = 256;

/** Text with gaps: text 0, the value of variable order[0], text 1, … */
interface Gapped {
  readonly texts: readonly string[];
  readonly order: readonly number[];
}

/** A link whose address is left out when it says the same as the link's text. */
interface Link {
  readonly href: Gapped;
  readonly text: Gapped;
}

interface Skeleton {
  readonly chunks: Chunks;
  readonly order: readonly number[];
  /** Links that say the same for some values though not for the markers. */
  readonly doubtful: readonly Link[];
}

function filled(gapped: Gapped, values: readonly string[]): string {
  let text = '';
  for (let at = 0; at < gapped.texts.length; at++) {
    const variable = gapped.order[at];
    text += gapped.texts[at] + (variable === undefined ? '' : (values[variable] ?? ''));
  }
  return text;
}

function saysTheSame(link: Link, values: readonly string[]): boolean {
  return isSame(filled(link.href, values), filled(link.text, values));
}

interface Variable {
  readonly name: string;
  /** Somewhere it stands as {{{name}}}. */
  readonly raw: boolean;
}

function fixedTemplate(text: string): Template {
  const chunks: Chunks = { texts: [text] };
  return {
    fixed: text,
    sample: text,
    render: (_row, out) => {
      out.push(0);
      return chunks;
    },
  };
}

function variablesOf(nodes: readonly FlatNode[]): Variable[] {
  const raw = new Map<string, boolean>();
  const visit = (list: readonly FlatNode[]): void => {
    for (const node of list) {
      if (node.kind === 'chunk') continue;
      raw.set(
        node.name,
        (raw.get(node.name) ?? false) || (node.kind === 'value' && node.escaping === 'none'),
      );
      if (node.kind === 'choice') {
        visit(node.yes);
        visit(node.no);
      }
    }
  };
  visit(nodes);
  return [...raw].map(([name, isRaw]) => ({ name, raw: isRaw }));
}

/** Words with single spaces between them, which collapsing white space leaves alone; not like a link to an anchor. */
const PLAIN_VALUE = /^(?!#)[^\s\p{Cc}\p{Cs}\u200b]+(?: [^\s\p{Cc}\p{Cs}\u200b]+)*$/u;
const MARKUP = /[<&]/;

/** One letter a variable: e(mpty), f(illed), m(issing); null when a value needs the whole conversion. */
function patternOf(row: Row, variables: readonly Variable[], values: string[]): string | null {
  let pattern = '';
  for (const { name, raw } of variables) {
    const value = valueIn(row, name);
    if (value === undefined || value === '') {
      pattern += value === '' ? 'e' : 'm';
      values.push('');
    } else if (typeof value === 'string' && PLAIN_VALUE.test(value) && !(raw && MARKUP.test(value))) {
      pattern += 'f';
      values.push(value);
    } else return null;
  }
  return pattern;
}

/** Two kinds of markers that have nothing in common: where their results differ, the values matter. */
const MARKERS = [
  { prefix: 'Qzvx', write: (index: number) => `Qzvx${letters(index)}xvzQ`, find: /Qzvx([a-j]{4})xvzQ/g },
  { prefix: '73190', write: (index: number) => `73190${digits(index)}09137`, find: /73190(\d{4})09137/g },
] as const;
const digits = (index: number): string => String(index).padStart(4, '0');
const letters = (index: number): string =>
  digits(index).replace(/\d/g, (digit) => 'abcdefghij'[Number(digit)] ?? '');
const indexOf = (marker: string): number =>
  Number(marker.replace(/[a-j]/g, (letter) => String(letter.charCodeAt(0) - 97)));

/**
 * Converts the template once with each kind of marker.
 * @returns null when the values themselves may decide what the text looks like
 * @throws Unrenderable when a missing variable is printed
 */
function skeletonOf(program: FlatProgram, variables: readonly Variable[], pattern: string): Skeleton | null {
  if (variables.length > 9999) return null;
  const template = flatTemplate(program, 'html');
  const results: { text: Gapped; doubtful: Link[] }[] = [];
  for (const marker of MARKERS) {
    const vars: Record<string, string> = Object.create(null);
    let address = '';
    variables.forEach(({ name }, index) => {
      const letter = pattern[index];
      const text = letter === 'f' ? marker.write(index) : '';
      if (name === ADDRESS_VARIABLE) address = text;
      else if (letter !== 'm') vars[name] = text;
    });
    const html = renderText(template, { address, vars });
    if (template.sample.includes(marker.prefix) || !onlyInText(html, marker.prefix)) return null;
    const doubtful: Link[] = [];
    const convert = newConverter((href, text) => {
      if ((href + text).includes(marker.prefix) && !isSame(href, text)) {
        doubtful.push({ href: gapped(href, marker.find), text: gapped(text, marker.find) });
      }
    });
    results.push({ text: gapped(convert(html), marker.find), doubtful });
  }
  const [first, second] = results;
  if (first === undefined || JSON.stringify(first) !== JSON.stringify(second)) return null;
  return { chunks: { texts: first.text.texts }, order: first.text.order, doubtful: first.doubtful };
}

function gapped(text: string, marker: RegExp): Gapped {
  const parts = text.split(marker);
  return {
    texts: parts.filter((_part, at) => at % 2 === 0),
    order: parts.filter((_part, at) => at % 2 === 1).map(indexOf),
  };
}

/** Attributes whose value is copied or ignored, never interpreted. */
const HARMLESS_ATTRIBUTES =
  /\s(?:href|src|alt|title|class|style|id|width|height|bgcolor|color|align|valign|background|target)\s*=\s*(?:"[^"<>]*"|'[^'<>]*')/gi;
/** Elements whose content is not parsed as text. */
const RAW_ELEMENTS = /<(?:xmp|plaintext|noembed|noframes|iframe|noscript)\b/i;

/** Whether every marker stands in text or in a harmless attribute: not in a tag, a comment or an entity. */
function onlyInText(html: string, prefix: string): boolean {
  if (RAW_ELEMENTS.test(html)) return false;
  const bare = html.replace(HARMLESS_ATTRIBUTES, '');
  for (let at = bare.indexOf(prefix); at >= 0; at = bare.indexOf(prefix, at + 1)) {
    const open = bare.lastIndexOf('<', at);
    if (open > bare.lastIndexOf('>', at)) return false;
    if (/&#?\w*$/.test(bare.slice(Math.max(0, at - 40), at))) return false;
  }
  return true;
}
