import { html } from 'hono/html';
import { VERSION } from '../version.ts';
import { ownPath } from './access.ts';
import type { WebContext } from './context.ts';
import { LANGUAGES, type Language, say, WORDS, type Word } from './words.ts';

/** Text that is safe to put into a page as it is. */
export type Markup = ReturnType<typeof html>;

/** What the pages are made from. */
export interface PageContext {
  readonly language: Language;
  readonly readOnly: boolean;
  readonly mask: boolean;
  /** The viewer has logged in and may log out. */
  readonly login: boolean;
  /** The path of the page, for the way back from the choice of a language. */
  readonly path: string;
}

export interface PageParts {
  readonly title: string;
  /** Which module of assets/ brings the page to life; null: none does. */
  readonly view: 'list' | 'campaign' | 'search' | null;
  /** What that module has to know. */
  readonly data?: Readonly<Record<string, string>>;
  readonly main: Markup;
  /** Loaded again by itself in a few seconds. */
  readonly again?: boolean;
  /** More style sheets, by name. */
  readonly styles?: readonly string[];
}

export function pageContextOf(
  { readOnly, mask, tokenGuard }: WebContext,
  language: Language,
  path: string,
): PageContext {
  return { language, readOnly, mask, login: tokenGuard !== undefined, path: ownPath(path) };
}

/** Modules that every view needs: named so that the browser asks for them at once and not one after the other. */
const MODULES = ['words', 'dom', 'format', 'stream', 'bar'];

/** A whole page. */
export function pageOf(page: PageContext, parts: PageParts): Markup {
  const t = (word: Word) => say(page.language, word);
  const modules = parts.view === null ? [] : [...MODULES, parts.view];
  return html`<!doctype html>
<html lang="${page.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
${parts.again === true ? html`<meta http-equiv="refresh" content="3">` : ''}
<title>${parts.title}</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
${(parts.styles ?? []).map((name) => html`<link rel="stylesheet" href="/assets/${name}.css">`)}
${modules.map((name) => html`<link rel="modulepreload" href="/assets/${name}.js">`)}
${parts.view === null ? '' : html`<script type="module" src="/assets/${parts.view}.js"></script>`}
</head>
<body data-data="${JSON.stringify({ ...parts.data, readOnly: page.readOnly, mask: page.mask })}">
<a class="skip" href="#main">${t('skip')}</a>
${headerOf(page, parts.view)}
<div class="banner" id="banner" role="alert" hidden></div>
<main id="main" tabindex="-1">
${parts.main}
</main>
<div class="said" id="said" role="status"></div>
<div class="aloud" id="aloud" aria-live="polite"></div>
<footer><span>sendstate ${VERSION}</span>${page.readOnly ? html`<span>${t('readOnly')}</span>` : ''}${page.mask ? html`<span>${t('masked')}</span>` : ''}</footer>
</body>
</html>`;
}

function headerOf(page: PageContext, view: PageParts['view']): Markup {
  const t = (word: Word) => say(page.language, word);
  const inside = view !== null;
  return html`<header>
<div class="row">
<a class="mark" href="/"><img src="/assets/icon.svg" alt="" width="20" height="20">sendstate</a>
${inside ? html`<form class="find" id="find" role="search" action="/search"><label class="only-heard" for="find-words">${t('find')}</label><input id="find-words" name="q" type="search" autocomplete="off" spellcheck="false" placeholder="${t('find')}"><button>${t('findButton')}</button></form>` : ''}
<div class="ways">
${LANGUAGES.filter((language) => language !== page.language).map(
  (language) =>
    html`<a href="${page.path}?lang=${language}" lang="${language}" hreflang="${language}">${WORDS.language[LANGUAGES.indexOf(language)]}</a>`,
)}
${inside && page.login ? html`<form method="post" action="/logout"><button class="plain">${t('logOut')}</button></form>` : ''}
</div>
</div>
</header>`;
}

/** The page that stands in for one that cannot be shown. `passing`: it may well be shown in a moment, so it tries again. */
export function problemPage(
  page: PageContext,
  problem: { message: string; hint: string | null; found: boolean; passing: boolean },
): Markup {
  const title = say(page.language, problem.found ? 'wentWrong' : 'notFound');
  return pageOf(page, {
    title: `${title} · sendstate`,
    view: null,
    again: problem.passing,
    main: html`<section class="alone"><h1>${title}</h1><p>${problem.message}</p>${problem.hint === null ? '' : html`<p class="quiet">${problem.hint}</p>`}<p><a href="/">${say(page.language, 'campaigns')}</a></p></section>`,
  });
}

export interface LoginProblem {
  readonly word: 'tokenWrong' | 'tokenWait';
  readonly n: string;
}

export function loginPage(page: PageContext, next: string, problem: LoginProblem | null): Markup {
  const t = (word: Word) => say(page.language, word);
  const wrong =
    problem === null
      ? ''
      : html`<p class="wrong" id="wrong" role="alert">${say(page.language, problem.word, { n: problem.n })}</p>`;
  return pageOf(page, {
    title: `${t('logIn')} · sendstate`,
    view: null,
    main: html`<form class="alone login" method="post" action="/login">
<h1>${t('logIn')}</h1>
<input type="hidden" name="next" value="${next}">
<label for="token">${t('token')}</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password" aria-describedby="token-hint${problem === null ? '' : ' wrong'}">
<p class="quiet" id="token-hint">${t('tokenHint')}</p>
${wrong}
<button class="main">${t('logIn')}</button>
</form>`,
  });
}
