import Handlebars from 'handlebars';
import { messageOf } from '../errors.ts';
import { printed } from './flat-template.ts';
import {
  ADDRESS_VARIABLE,
  type Chunks,
  type Escaping,
  escapeValue,
  MAX_CHARACTERS,
  type Row,
  refuseTooLong,
  type Template,
  Unrenderable,
  valueIn,
} from './rendering.ts';
import type { Syntax } from './syntax.ts';

/** Bounds on rendering one row. Rendering is synchronous, so they are what keeps a row from stopping a worker. */
const LIMITS = {
  /** Turns of all loops together. 10,000: a mail with more rows than that is a report, not a mail. */
  turns: 10_000,
  /** Statements that all turns of all loops may hold. 300,000: a second at worst; thirty in each turn of the longest loop. */
  steps: 300_000,
  /** Levels of lists and objects inside a row's variables. 20: deeper than any sensible JSON, far from the stack's end. */
  levels: 20,
};

/** Every printed value goes through this helper; no template can name it, because names have no NUL. */
const PRINT = '\u0000print';

/**
 * The prototype of every context: no inherited name is reachable from a template, `in` sees own columns only. Handlebars
 * puts the context into the message about a missing name, so it must have a text.
 */
const contextPrototype: object = Object.freeze(
  Object.assign(Object.create(null), { [Symbol.toPrimitive]: () => 'the row' }),
);

/** What is left of each bound while one row is rendered. */
/** Said aloud, because Handlebars otherwise writes a line to stderr when a template asks for what a list inherits. */
const OWN_ONLY = { allowProtoPropertiesByDefault: false, allowProtoMethodsByDefault: false };

interface Budget {
  turns: number;
  steps: number;
  /** Of what loops write. */
  looped: number;
  /** Of the values that are printed, in loops or not. */
  printed: number;
}

/** A template that needs more than columns, if and unless: loops, nested values, {{../x}}. Rendered by Handlebars. */
export function handlebarsTemplate(syntax: Syntax, escaping: Escaping): Template {
  const budget: Budget = { turns: 0, steps: 0, looped: 0, printed: 0 };
  const environment = ownEnvironment(budget, syntax.part);
  // Handlebars is strict about {{name}} alone; {{#if nmae}} would quietly choose a branch. Say it for every path.
  for (const path of syntax.paths) Object.assign(path, { strict: true });
  printThroughHelper(syntax.program);
  const run = environment.compile(syntax.program, {
    strict: true,
    knownHelpersOnly: true,
    knownHelpers: {
      if: true,
      unless: true,
      each: true,
      with: true,
      lookup: false,
      log: false,
      [PRINT]: true,
    },
    noEscape: escaping !== 'html',
  });
  const chunks: Chunks = { texts: [] };
  const usesAddress = syntax.paths.some((path) => path.parts.includes(ADDRESS_VARIABLE));
  return {
    fixed: null,
    sample: contentOf(syntax.program),
    render: (row, out) => {
      budget.turns = LIMITS.turns;
      budget.steps = LIMITS.steps;
      budget.looped = MAX_CHARACTERS;
      budget.printed = MAX_CHARACTERS;
      try {
        out.push(run(contextOf(row, usesAddress, escaping === 'uri' ? 'uri' : 'none'), OWN_ONLY));
      } catch (error) {
        throw error instanceof Unrenderable ? error : new Unrenderable(whyNot(error, syntax));
      }
      return chunks;
    },
  };
}

/**
 * Turns every `{{x}}` into `{{print x "x"}}`. Handlebars itself adds what two unescaped values next to each other are, so
 * that 1 and 2 print as 3; and it prints objects as [object Object] and nulls as nothing.
 */
function printThroughHelper(program: hbs.AST.Program): void {
  for (const statement of program.body) {
    if (statement.type === 'MustacheStatement') {
      const mustache = statement as hbs.AST.MustacheStatement;
      const { loc } = mustache;
      const path = mustache.path as hbs.AST.PathExpression;
      const name = path.parts.join('.') || 'this';
      const literal: hbs.AST.StringLiteral = { type: 'StringLiteral', value: name, original: name, loc };
      mustache.params = [path, literal];
      mustache.path = { type: 'PathExpression', data: false, depth: 0, parts: [PRINT], original: PRINT, loc };
    } else if (statement.type === 'BlockStatement') {
      const block = statement as hbs.AST.BlockStatement;
      if (block.program) printThroughHelper(block.program);
      if (block.inverse) printThroughHelper(block.inverse);
      if (
        block.path.type === 'PathExpression' &&
        (block.path as hbs.AST.PathExpression).original === 'each'
      ) {
        const value = stepsIn(block.program) + stepsIn(block.inverse);
        const literal: hbs.AST.NumberLiteral = {
          type: 'NumberLiteral',
          value,
          original: value,
          loc: block.loc,
        };
        block.params.push(literal);
      }
    }
  }
}

/** Statements in a block and in the blocks inside it: what one turn costs, however little it writes. */
function stepsIn(program: hbs.AST.Program | undefined): number {
  let steps = 0;
  for (const statement of program?.body ?? []) {
    steps++;
    if (statement.type === 'BlockStatement') {
      const block = statement as hbs.AST.BlockStatement;
      steps += stepsIn(block.program) + stepsIn(block.inverse);
    }
  }
  return steps;
}

/** A missing variable by its whole path where the template leaves no doubt which one it was. */
function whyNot(error: unknown, syntax: Syntax): string {
  const missing = /^"([\s\S]*)" not defined in /.exec(messageOf(error))?.[1];
  if (missing === undefined) return `cannot be rendered: ${messageOf(error)} (in the ${syntax.part})`;
  const candidates = new Set(
    syntax.paths.filter((path) => path.parts.at(-1) === missing).map((path) => path.parts.join('.')),
  );
  const name = candidates.size === 1 ? [...candidates][0] : missing;
  return `missing variable "${name}" (in the ${syntax.part})`;
}

/** A Handlebars of our own: no helper that logs or looks up computed names, and loops that count. */
function ownEnvironment(budget: Budget, part: string): typeof Handlebars {
  const environment = Handlebars.create();
  for (const name of ['log', 'lookup']) environment.unregisterHelper(name);
  environment.registerHelper(PRINT, (value: unknown, name: string) => {
    const text = printed(value ?? undefined, name, part);
    budget.printed -= text.length;
    if (budget.printed < 0) refuseTooLong(part);
    return text;
  });
  const each = environment.helpers.each;
  if (each === undefined) throw new Error('Handlebars has no each');
  environment.unregisterHelper('each');
  environment.registerHelper(
    'each',
    function (this: unknown, list: unknown, steps: number, options: Handlebars.HelperOptions) {
      const turn: Handlebars.TemplateDelegate = (context, more) => {
        budget.turns -= 1;
        if (budget.turns < 0)
          throw new Unrenderable(`loops take more than ${LIMITS.turns} turns (in the ${part})`);
        budget.steps -= steps;
        if (budget.steps < 0)
          throw new Unrenderable(`loops take more than ${LIMITS.steps} steps (in the ${part})`);
        const text = options.fn(context, more);
        budget.looped -= text.length;
        if (budget.looped < 0)
          throw new Unrenderable(`loops write more than ${MAX_CHARACTERS} characters (in the ${part})`);
        return text;
      };
      return each.call(this, list, { ...options, fn: turn });
    },
  );
  return environment;
}

/** The row as Handlebars may see it: own names only, no nulls among the names. */
function contextOf(row: Row, usesAddress: boolean, escaping: Escaping): unknown {
  const context = copy(row.vars, escaping, 0) as Record<string, unknown>;
  if (usesAddress) context[ADDRESS_VARIABLE] = copy(valueIn(row, ADDRESS_VARIABLE), escaping, 1);
  return context;
}

function copy(value: unknown, escaping: Escaping, level: number): unknown {
  if (typeof value === 'string') return escapeValue(value, escaping);
  if (typeof value !== 'object' || value === null) return value;
  if (level > LIMITS.levels)
    throw new Unrenderable(`variables are nested more than ${LIMITS.levels} levels deep`);
  if (Array.isArray(value)) return value.map((item) => copy(item, escaping, level + 1));
  const object: Record<string, unknown> = Object.create(contextPrototype);
  for (const [name, item] of Object.entries(value)) {
    if (item === null || item === undefined) continue;
    object[name] = copy(item, escaping, level + 1);
  }
  return object;
}

function contentOf(program: hbs.AST.Program): string {
  let text = '';
  for (const statement of program.body) {
    if (statement.type === 'ContentStatement') text += (statement as hbs.AST.ContentStatement).value;
    if (statement.type === 'BlockStatement') {
      const block = statement as hbs.AST.BlockStatement;
      text +=
        (block.program ? contentOf(block.program) : '') + (block.inverse ? contentOf(block.inverse) : '');
    }
  }
  return text;
}
