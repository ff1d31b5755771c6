import { type Context, Hono } from 'hono';
import { findCampaign } from '../campaigns/campaigns.ts';
import { SendstateError } from '../errors.ts';
import { RETRYABLE } from '../sending/states.ts';
import { cancel, pause, resume, start } from '../verbs/lifecycle.ts';
import { history } from '../verbs/limits.ts';
import { maskedAll } from '../verbs/mask.ts';
import { retry } from '../verbs/people.ts';
import { preview } from '../verbs/preview.ts';
import type { Desk, Env, Routes } from './context.ts';
import { PREVIEW_POLICY } from './guard.ts';
import { framedHtml } from './mail.ts';
import { shared } from './shared.ts';
import { type Timeline, timeline } from './snapshot.ts';

/** How long a timeline that was read for one page is good for others, milliseconds: a span lasts five seconds. */
const TIMELINE_MS = 2_000;

/** Data, as JSON: what the page asks for, and any program may. */
export function apiRoutes(desk: Desk): Routes {
  const { app } = desk;
  const shown = <T>(value: T): T => (desk.mask ? maskedAll(value) : value);
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
    const mail = await previewed(desk, c);
    const { eml: _, html, ...rest } = mail;
    return c.json({ ...rest, html: html !== null });
  });
  api.get('/campaigns/:name/preview.html', async (c) => {
    const { html } = await previewed(desk, c);
    const { campaignId } = await findCampaign(app.database, c.req.param('name'));
    c.header('content-security-policy', PREVIEW_POLICY);
    c.header('x-frame-options', 'SAMEORIGIN');
    return c.html(await framedHtml(app.database, campaignId, html ?? ''));
  });
  api.post('/campaigns/:name/:verb', async (c) => {
    const done = await act(desk, c.req.param('verb'), c.req.param('name'), c.req.query('outcome'));
    desk.feed.poke();
    return c.json(done);
  });
  return api;
}

async function previewed({ app, mask }: Desk, c: Context<Env>) {
  if (mask) {
    throw new SendstateError('web-masked', 'There is no preview while addresses are masked', {
      hint: 'A mail is about one person. Use sendstate preview, or start the page without --mask.',
    });
  }
  const as = (c.req.query('as') ?? '').trim();
  return await preview(app, c.req.param('name') ?? '', as === '' ? undefined : as);
}

async function act(
  { acting: app }: Desk,
  verb: string,
  name: string,
  outcome: string | undefined,
): Promise<object> {
  switch (verb) {
    case 'pause':
      return { name, status: (await pause(app, name)).status };
    case 'resume':
      return { name, status: (await resume(app, name)).status };
    case 'start':
      return { name, status: (await start(app, name)).status };
    case 'cancel': {
      const { campaign, cancelled } = await cancel(app, name);
      return { name, status: campaign.status, cancelled };
    }
    case 'retry': {
      const known = RETRYABLE.find((one) => one === outcome);
      if (known !== undefined) return { name, outcome: known, recipients: await retry(app, name, known) };
      throw new SendstateError('web-outcome', `"${outcome ?? ''}" is no outcome that can be retried`, {
        hint: `One of: ${RETRYABLE.join(', ')}. Who was sent a mail is never sent it again.`,
      });
    }
    default:
      throw new SendstateError('web-verb-unknown', `There is nothing called "${verb.slice(0, 40)}" to do`, {
        hint: 'One of: pause, resume, cancel, start, retry.',
      });
  }
}
