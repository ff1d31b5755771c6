import { type Context, Hono } from 'hono';
import { cancel, pause, resume, start } from '../api/lifecycle.ts';
import { history } from '../api/limits.ts';
import { preview } from '../api/mails.ts';
import { maskedAll } from '../api/mask.ts';
import type { Opened } from '../api/open.ts';
import { retry } from '../api/recipients.ts';
import { findCampaign } from '../campaigns/campaigns.ts';
import { SendstateError } from '../errors.ts';
import { RETRYABLE } from '../model/states.ts';
import type { Env, Routes, WebContext } from './context.ts';
import { type Pressed, VERBS, type WebVerb } from './events.ts';
import { addressOf, PREVIEW_POLICY } from './guard.ts';
import { framedHtml } from './mail.ts';
import { troubleOf } from './problems.ts';
import { shared } from './shared.ts';
import { type Timeline, timeline } from './snapshot.ts';

/** How long a timeline that was read for one page is good for others, milliseconds: a span lasts five seconds. */
const TIMELINE_MS = 2_000;

/** Data, as JSON: what the page asks for, and any program may. */
export function apiRoutes(web: WebContext): Routes {
  const { app } = web;
  const shown = <T>(value: T): T => (web.mask ? maskedAll(value) : value);
  const timelines = shared<number, Timeline>((id) => timeline(app.database, id), TIMELINE_MS);
  const api = new Hono<Env>();
  api.get('/search', async (c) => {
    const address = (c.req.query('address') ?? '').trim();
    if (address === '') {
      throw new SendstateError('web-search', 'There is no address to look for', {
        hint: 'Ask for /api/search?address=kim@example.com',
      });
    }
    return c.json(shown(await history(app, address)));
  });
  api.get('/campaigns/:name/timeline', async (c) => {
    const { campaignId } = await findCampaign(app.database, c.req.param('name'));
    return c.json(await timelines(campaignId));
  });
  api.get('/campaigns/:name/preview', async (c) => {
    const mail = await previewed(web, c);
    const { eml: _, html, ...rest } = mail;
    return c.json({ ...rest, html: html !== null });
  });
  api.get('/campaigns/:name/preview.html', async (c) => {
    const { html } = await previewed(web, c);
    const { campaignId } = await findCampaign(app.database, c.req.param('name'));
    c.header('content-security-policy', PREVIEW_POLICY);
    c.header('x-frame-options', 'SAMEORIGIN');
    return c.html(await framedHtml(app.database, campaignId, html ?? ''));
  });
  api.post('/campaigns/:name/:verb', async (c) => {
    const name = c.req.param('name');
    const pressed = await press(web, c, verbOf(c.req.param('verb')), name);
    web.feed.poke();
    return c.json({ name, ...pressed });
  });
  return api;
}

async function previewed({ app, mask }: WebContext, c: Context<Env>) {
  if (mask) {
    throw new SendstateError('web-masked', 'There is no preview while addresses are masked', {
      hint: 'A mail is about one person. Use sendstate preview, or start the page without --mask.',
    });
  }
  const as = (c.req.query('as') ?? '').trim();
  return await preview(app, c.req.param('name') ?? '', as === '' ? undefined : as);
}

function verbOf(text: string): WebVerb {
  const verb = VERBS.find((one) => one === text);
  if (verb !== undefined) return verb;
  throw new SendstateError('web-verb-unknown', `There is nothing called "${text.slice(0, 40)}" to do`, {
    hint: `One of: ${VERBS.join(', ')}.`,
  });
}

/** Does what a button says, and tells the log who pressed it and what came of it. */
async function press(web: WebContext, c: Context<Env>, verb: WebVerb, name: string): Promise<Pressed> {
  const outcome = c.req.query('outcome');
  const told = { kind: 'action', verb, campaign: name, remote: addressOf(c) } as const;
  try {
    const pressed = await act(web.acting, verb, name, outcome);
    web.onEvent({ ...told, pressed, refused: null });
    return pressed;
  } catch (error) {
    web.onEvent({ ...told, pressed: {}, refused: troubleOf(error) });
    throw error;
  }
}

async function act(app: Opened, verb: WebVerb, name: string, outcome?: string): Promise<Pressed> {
  switch (verb) {
    case 'pause':
      return { status: (await pause(app, name)).status };
    case 'resume':
      return { status: (await resume(app, name)).status };
    case 'start':
      return { status: (await start(app, name)).status };
    case 'cancel': {
      const { campaign, cancelled } = await cancel(app, name);
      return { status: campaign.status, cancelled };
    }
    case 'retry': {
      const known = RETRYABLE.find((one) => one === outcome);
      if (known !== undefined) return { outcome: known, recipients: await retry(app, name, known) };
      throw new SendstateError(
        'web-outcome',
        `"${(outcome ?? '').slice(0, 40)}" is no outcome that can be retried`,
        {
          hint: `One of: ${RETRYABLE.join(', ')}. Who was sent a mail is never sent it again.`,
        },
      );
    }
  }
}
