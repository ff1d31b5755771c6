import { SendstateError } from '../errors.ts';
import { flatTemplate, flatten } from './flat-template.ts';
import { handlebarsTemplate } from './handlebars-template.ts';
import { headerNameProblem, holdsUris } from './headers.ts';
import { plainTextTemplate } from './plain-text.ts';
import type { Escaping, Template } from './rendering.ts';
import { compileSender, type Sender } from './sender.ts';
import { parseTemplate, type Syntax } from './syntax.ts';

/** A campaign's templates as they stand in the table. */
export interface MessageSource {
  readonly subject: string;
  readonly html: string | null;
  /** Null: made from the html. */
  readonly text: string | null;
  /** The From header. */
  readonly sender: string;
  readonly replyTo: string | null;
  /** Extra headers: name to template. A value that comes out empty leaves the header out. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface HeaderTemplate {
  readonly name: string;
  readonly template: Template;
}

/** A campaign's templates, ready to render. Values are escaped in html, percent-encoded in URI headers, as they are elsewhere. */
export interface CompiledTemplates {
  readonly subject: Template;
  readonly html: Template | null;
  readonly text: Template | null;
  readonly from: Sender;
  readonly replyTo: Sender | null;
  readonly headers: readonly HeaderTemplate[];
}

/**
 * Compiles a campaign's templates.
 *
 * The language is Handlebars with `{{column}}`, `{{{column}}}`, `{{#if}}`, `{{#unless}}`, `{{#each}}`, `{{#with}}` and
 * nothing else. A column that a row lacks makes the row invalid wherever the template comes across it, in a condition
 * too: a misspelt `{{#if nmae}}` must not choose a branch for every recipient. An empty cell is there, and empty.
 * @throws SendstateError `template-syntax`, `template-too-long`, `template-empty`, `header-name`, `sender-invalid`
 */
export function compileTemplates(source: MessageSource): CompiledTemplates {
  if (source.html === null && source.text === null) {
    throw new SendstateError('template-empty', 'The campaign has neither html nor text', {
      hint: 'Give it --html FILE, --text FILE or both.',
    });
  }
  const plain = (part: string, text: string): Template => compileText(parseTemplate(part, text), 'none');
  const htmlSyntax = source.html === null ? null : parseTemplate('html', source.html);
  const html = htmlSyntax === null ? null : compileText(htmlSyntax, 'html');
  return {
    subject: plain('subject', source.subject),
    html,
    text: source.text !== null ? plain('text', source.text) : textFrom(html, htmlSyntax),
    from: compileSender('From', source.sender, false, plain),
    replyTo: source.replyTo === null ? null : compileSender('Reply-To', source.replyTo, true, plain),
    headers: compileHeaders(source.headers),
  };
}

/**
 * The columns that the templates ask for, each with the parts that it is used in (`subject`, `html`, `header X-Tag`).
 * `email`, which is always there, is not among them.
 * @throws SendstateError as compileTemplates
 */
export function variables(source: MessageSource): ReadonlyMap<string, readonly string[]> {
  const parts: readonly (readonly [string, string | null])[] = [
    ['sender', source.sender],
    ['reply-to', source.replyTo],
    ['subject', source.subject],
    ['html', source.html],
    ['text', source.text],
    ...Object.entries(source.headers).map(([name, text]) => [`header ${name}`, text] as const),
  ];
  const used = new Map<string, string[]>();
  for (const [part, text] of parts) {
    if (text === null) continue;
    for (const column of parseTemplate(part, text).columns) {
      const list = used.get(column);
      if (list === undefined) used.set(column, [part]);
      else list.push(part);
    }
  }
  return used;
}

function compileText(syntax: Syntax, escaping: Escaping): Template {
  const flat = flatten(syntax, escaping);
  return flat === null ? handlebarsTemplate(syntax, escaping) : flatTemplate(flat, syntax.part);
}

function textFrom(html: Template | null, syntax: Syntax | null): Template | null {
  return html === null || syntax === null ? null : plainTextTemplate(html, flatten(syntax, 'html'));
}

function compileHeaders(headers: Readonly<Record<string, string>>): HeaderTemplate[] {
  const seen = new Set<string>();
  return Object.entries(headers).map(([name, text]) => {
    const wrong = headerNameProblem(name);
    if (wrong !== null) {
      throw new SendstateError('header-name', `${JSON.stringify(name)} ${wrong.problem}`, {
        hint: wrong.advice,
      });
    }
    if (seen.has(name.toLowerCase())) {
      throw new SendstateError('header-name', `The header ${name} is given twice`, {
        hint: 'Keep one of them.',
      });
    }
    seen.add(name.toLowerCase());
    const syntax = parseTemplate(`header ${name}`, text);
    return { name, template: compileText(syntax, holdsUris(name) ? 'uri' : 'none') };
  });
}
