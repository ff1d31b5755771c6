import Handlebars from 'handlebars';
import { messageOf, SendstateError } from '../errors.ts';
import { ADDRESS_VARIABLE } from './rendering.ts';

/** Bounds on a template itself; they are about the operator's mistakes, rows are bounded when they are rendered. */
const LIMITS = {
  /** Characters. 5 million: far beyond any mail that is delivered, small enough to parse in a second. */
  characters: 5_000_000,
  /** Blocks inside blocks. 40: deeper than templates are written, and the checks below recurse. */
  nesting: 40,
  /** Blocks that are open at once, counted before parsing. 100: comments may hold some; the parser's time grows with their square. */
  open: 100,
  /** `each` inside `each`. 3: the work grows with the power of it. */
  loops: 3,
};

/** Data variables of Handlebars that a template may use; all others are typing mistakes. */
const DATA_VARIABLES = new Set(['root', 'index', 'key', 'first', 'last']);
const BLOCKS = new Set(['if', 'unless', 'each', 'with']);

/** A template that was parsed and found to use only what is allowed. */
export interface Syntax {
  /** Named in errors: "subject", "html", "header List-Unsubscribe". */
  readonly part: string;
  readonly program: hbs.AST.Program;
  /** Every path, for better words than Handlebars' own when one is missing. */
  readonly paths: readonly hbs.AST.PathExpression[];
  /** Columns that the template asks for, without `email`. */
  readonly columns: ReadonlySet<string>;
}

/**
 * Parses a template and refuses what a mail has no use for: partials, decorators, helpers other than if / unless / each /
 * with, sub-expressions. Line ends become LF, so that nothing later has to think about CR.
 * @throws SendstateError `template-syntax` with part, line and what to write instead
 */
export function parseTemplate(part: string, source: string): Syntax {
  if (source.length > LIMITS.characters) {
    throw new SendstateError(
      'template-too-long',
      `The ${part} template has ${source.length} characters, more than ${LIMITS.characters}`,
      { hint: 'Attach large pictures as files and refer to them as cid:NAME.' },
    );
  }
  const nul = source.indexOf('\0');
  if (nul !== -1) {
    throw syntaxError(part, lineAt(source, nul), 'it holds a NUL character', 'Is it a text file, in UTF-8?');
  }
  refuseTower(part, source);
  let program: hbs.AST.Program;
  try {
    program = Handlebars.parse(source.replace(/\r\n?/g, '\n'));
  } catch (error) {
    throw syntaxError(part, lineOf(error, source), whatIsWrong(error), 'Check the braces there.', error);
  }
  const check = new Check(part);
  check.program(program, { depth: 0, loops: 0, scope: 0 });
  return { part, program, paths: check.paths, columns: check.columns };
}

/** Handlebars' parser takes a minute for 100 KB of blocks that are not closed; this looks at each once. ({{^}} is an else.) */
function refuseTower(part: string, source: string): void {
  let open = 0;
  for (const tag of source.matchAll(/\{\{~?(?:[#/]|\^(?!\s*~?\}))/g)) {
    open += tag[0].endsWith('/') ? -1 : 1;
    if (open <= LIMITS.open) continue;
    const line = lineAt(source, tag.index);
    throw syntaxError(
      part,
      line,
      `more than ${LIMITS.nesting} blocks inside each other`,
      'Flatten it, or close them.',
    );
  }
}

function syntaxError(
  part: string,
  line: number | null,
  what: string,
  hint: string,
  cause?: unknown,
): SendstateError {
  const where = line === null ? '' : ` on line ${line}`;
  return new SendstateError('template-syntax', `The ${part} template is wrong${where}: ${what}`, {
    hint,
    cause,
  });
}

function lineOf(error: unknown, source: string): number | null {
  if (error instanceof Handlebars.Exception && typeof error.lineNumber === 'number') return error.lineNumber;
  const match = /^(?:Parse|Lexical) error on line (\d+)/.exec(messageOf(error));
  if (match !== null) return Number(match[1]);
  // The one mistake that Handlebars names no place for: an else in a decorator.
  const decorator = source.search(/\{\{~?#\s*\*/);
  return decorator === -1 ? null : lineAt(source, decorator);
}

function lineAt(source: string, at: number): number {
  return 1 + (source.slice(0, at).match(/\r\n?|\n/g)?.length ?? 0);
}

/** Handlebars' own words, without its list of token names. */
function whatIsWrong(error: unknown): string {
  const lines = messageOf(error).split('\n');
  if (lines[0]?.startsWith('Lexical error')) return `cannot read ${JSON.stringify((lines[1] ?? '').trim())}`;
  if (!lines[0]?.startsWith('Parse error'))
    return (lines[0] ?? '').replace(/ - \d+:\d+$/, '').replace(/^ doesn't/, "[] doesn't");
  if (/got 'EOF'/.test(lines.at(-1) ?? '')) return 'it ends before every {{#…}} is closed by its {{/…}}';
  return `cannot read ${JSON.stringify((lines[1] ?? '').trim())}`;
}

interface Place {
  readonly depth: number;
  readonly loops: number;
  /** How many each / with blocks are around: their paths are not columns. */
  readonly scope: number;
}

class Check {
  readonly paths: hbs.AST.PathExpression[] = [];
  readonly columns = new Set<string>();
  readonly #part: string;

  constructor(part: string) {
    this.#part = part;
  }

  program(program: hbs.AST.Program, place: Place): void {
    for (const statement of program.body) this.#statement(statement, place);
  }

  #fail(node: hbs.AST.Node, what: string, hint: string): never {
    throw syntaxError(this.#part, node.loc.start.line, what, hint);
  }

  #statement(node: hbs.AST.Statement, place: Place): void {
    switch (node.type) {
      case 'ContentStatement':
      case 'CommentStatement':
        return;
      case 'MustacheStatement':
        this.#mustache(node as hbs.AST.MustacheStatement, place);
        return;
      case 'BlockStatement':
        this.#block(node as hbs.AST.BlockStatement, place);
        return;
      case 'PartialStatement':
      case 'PartialBlockStatement':
        this.#fail(node, 'it includes another template ({{> …}})', 'Put that text into this template.');
        break;
      default:
        this.#fail(node, 'it uses a decorator ({{* …}})', 'Remove it: templates have no decorators.');
    }
  }

  #mustache(node: hbs.AST.MustacheStatement, place: Place): void {
    const path = asPath(node);
    const name = path.original;
    if (node.params.length > 0 || node.hash) {
      const words = [
        name,
        ...node.params.map((param) => ('original' in param ? String(param.original) : '…')),
      ];
      const hint = `A column whose name has spaces is written {{[${words.join(' ')}]}}.`;
      this.#fail(node, `there is no helper "${name}"`, hint);
    }
    if (BLOCKS.has(name)) {
      this.#fail(
        node,
        `{{${name}}} has no block`,
        `Write {{#${name} …}} … {{/${name}}}, or {{this.${name}}} for a column.`,
      );
    }
    if (name === 'lookup' || name === 'log' || name === 'helperMissing' || name === 'blockHelperMissing') {
      this.#fail(
        node,
        `{{${name}}} is a word of the template language`,
        `Write {{this.${name}}} for a column.`,
      );
    }
    this.#path(path, place);
  }

  #block(node: hbs.AST.BlockStatement, place: Place): void {
    const block = asPath(node).original;
    if (!BLOCKS.has(block)) {
      this.#fail(node, `there is no block {{#${block}}}`, `Write {{#if ${block}}} or {{#each ${block}}}.`);
    }
    const subject = node.params[0];
    if (node.params.length !== 1 || subject === undefined) {
      this.#fail(
        node,
        `{{#${block}}} wants exactly one column`,
        `Write {{#${block} COLUMN}}; names with spaces as [a b].`,
      );
    }
    for (const pair of node.hash?.pairs ?? []) {
      const known = pair.key === 'includeZero' && (block === 'if' || block === 'unless');
      if (!known || pair.value.type !== 'BooleanLiteral') {
        this.#fail(node, `{{#${block}}} has no option ${pair.key}`, 'Remove it.');
      }
    }
    if (subject.type !== 'PathExpression') {
      this.#fail(
        node,
        `{{#${block}}} wants a column, not ${subject.type}`,
        'Names with spaces are written [a b].',
      );
    }
    if ((node.program?.blockParams ?? []).length > 0) {
      // Handlebars looks these up without its strictness: a lacking {{item.name}} would be an empty hole.
      const hint =
        'Inside the block write {{name}} or {{this}} for the item, {{../name}} for what is around it.';
      this.#fail(node, `{{#${block}}} gives a name to its item (as |…|)`, hint);
    }
    this.#path(subject as hbs.AST.PathExpression, place);
    const changes = block === 'each' || block === 'with';
    const inside: Place = {
      depth: place.depth + 1,
      loops: place.loops + (block === 'each' ? 1 : 0),
      scope: place.scope + (changes ? 1 : 0),
    };
    if (inside.depth > LIMITS.nesting)
      this.#fail(node, `more than ${LIMITS.nesting} blocks inside each other`, 'Flatten it.');
    if (inside.loops > LIMITS.loops)
      this.#fail(node, `more than ${LIMITS.loops} loops inside each other`, 'Flatten it.');
    if (node.program) this.program(node.program, inside);
    if (node.inverse) this.program(node.inverse, { ...place, depth: inside.depth });
  }

  #path(path: hbs.AST.PathExpression, place: Place): void {
    const first = path.parts[0];
    if (path.data) {
      if (first === undefined || !DATA_VARIABLES.has(first)) {
        this.#fail(path, `there is no variable @${path.parts.join('.')}`, 'Columns are written without @.');
      }
      if (first === 'root' && path.parts[1] !== undefined) this.#column(path.parts[1]);
    } else if (first !== undefined && path.depth >= place.scope) {
      this.#column(first);
    }
    this.paths.push(path);
  }

  #column(name: string): void {
    if (name !== ADDRESS_VARIABLE) this.columns.add(name);
  }
}

/** `{{"a b"}}` and `{{2024}}` mean the columns of that name; Handlebars rewrites them in the same way. */
function asPath(node: hbs.AST.MustacheStatement | hbs.AST.BlockStatement): hbs.AST.PathExpression {
  const path = node.path;
  if ('parts' in path) return path;
  const name = String((path as hbs.AST.StringLiteral).original);
  const converted: hbs.AST.PathExpression = {
    type: 'PathExpression',
    data: false,
    depth: 0,
    parts: [name],
    original: name,
    loc: path.loc,
  };
  node.path = converted;
  return converted;
}
