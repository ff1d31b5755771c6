import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import type { Routes } from '../../src/web/context.ts';
import type { ServeEvent } from '../../src/web/events.ts';
import { serve } from '../../src/web/serve.ts';
import { runningCampaign, type TestCampaign } from '../support/campaign.ts';
import { ACTION, asking, FORM, type Site, startSite, startViewer } from '../support/web.ts';

const TOKEN = '7f3c0d8e5b1a4f62937d1c0b8a6e4d25';

let open: Site;
let closed: Site;
let spring: TestCampaign;
const events: ServeEvent[] = [];

beforeAll(async () => {
  open = await startSite();
  closed = await startSite({
    token: TOKEN,
    onEvent: (event) => events.push(event),
    extraRoutes: (routes: Routes) => {
      routes.get('/extra', (c) => c.text('extra'));
      routes.get('/broken', () => {
        throw new Error('password=secret at /home/kim');
      });
    },
  });
  spring = await runningCampaign(open.fresh.database, 3);
});

afterAll(async () => {
  await open.end();
  await closed.end();
});

const statusOf = async (site: Site, name: string) => {
  const { rows } = await site.fresh.pool.query<{ status: string }>(
    'select status from campaign where name = $1',
    [name],
  );
  return rows[0]?.status;
};

/** Every kind of answer: pages, data, assets, streams' errors, what is not there. */
const PATHS = [
  '/',
  '/search',
  '/assets/style.css',
  '/healthz',
  '/readyz',
  '/nowhere',
  '/api/search',
  '/api/whoami',
];

test.each([
  '/campaigns/%00',
  '/campaigns/a%00b',
  '/api/search?address=%00',
  '/assets/%00',
  '/api/campaigns/%00',
])('a NUL in %s names nothing: 404, and no unforeseen error', async (path) => {
  const { status, body } = await asking(open.url + path, { headers: { accept: 'text/html' } });
  expect(status).toBe(404);
  expect(body).not.toContain('unexpected');
});

describe('every answer', () => {
  test.each(PATHS)('%s says what a browser may do with it', async (path) => {
    const { headers } = await asking(open.url + path);
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
    });
    expect(headers['access-control-allow-origin']).toBeUndefined();
    // Assets hold no data and are asked about each time; the rest is kept nowhere.
    expect(headers['cache-control']).toBe(path.startsWith('/assets/') ? 'no-cache' : 'no-store');
  });

  test('a page has no script or style within it', async () => {
    for (const path of ['/', '/search', `/campaigns/${spring.name}`]) {
      const { body } = await asking(open.url + path);
      expect(body).not.toMatch(/<script(?![^>]* src=")|<style|\sstyle=|\son\w+=/);
    }
  });

  test('an asset that has not changed is not sent twice', async () => {
    const first = await asking(`${open.url}/assets/style.css`);
    expect(first.status).toBe(200);
    const etag = String(first.headers.etag);
    const second = await asking(`${open.url}/assets/style.css`, { headers: { 'if-none-match': etag } });
    expect(second).toMatchObject({ status: 304, body: '' });
  });

  test.each(['/assets/../serve.ts', '/assets/%2e%2e%2fserve.ts', '/assets/..%2f..%2fpackage.json'])(
    'no file but the assets: %s',
    async (path) => {
      expect((await asking(open.url + path)).status).toBe(404);
    },
  );
});

describe('without a token', () => {
  test.each(['evil.example', 'evil.example:8025', 'localhost.evil.example'])(
    'another name that leads here is refused: %s',
    async (host) => {
      for (const path of ['/', '/api/search?address=a@b.c', '/api/events', '/assets/style.css']) {
        const { status, body } = await asking(open.url + path, { headers: { host } });
        expect(status).toBe(403);
        expect(JSON.parse(body)).toMatchObject({ code: 'web-host', hint: expect.any(String) });
      }
    },
  );

  test.each(['localhost:1', '127.0.0.1', '[::1]:80'])('a name of this machine is fine: %s', async (host) => {
    expect((await asking(open.url, { headers: { host } })).status).toBe(200);
  });

  test.each(['0.0.0.0', '::', '192.0.2.1'])('it does not listen at %s', async (host) => {
    const app = { database: open.fresh.database, embedded: false, close: async () => undefined };
    const error = await serve(app, { host, port: 0 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SendstateError);
    expect(error).toMatchObject({ code: 'web-token', hint: expect.stringContaining('openssl rand') });
  });

  test('a token that can be guessed is none', async () => {
    const app = { database: open.fresh.database, embedded: false, close: async () => undefined };
    await expect(serve(app, { token: 'letmein', port: 0 })).rejects.toMatchObject({ code: 'web-token' });
  });

  test('a port that is taken is named', async () => {
    const app = { database: open.fresh.database, embedded: false, close: async () => undefined };
    const port = Number(new URL(open.url).port);
    await expect(serve(app, { port })).rejects.toMatchObject({
      code: 'web-port',
      message: expect.stringContaining(String(port)),
      hint: expect.stringContaining('--port'),
    });
  });
});

describe('with a token, at any address', () => {
  test('it listens where others can reach it', async () => {
    const app = { database: closed.fresh.database, embedded: false, close: async () => undefined };
    const served = await serve(app, { host: '0.0.0.0', token: TOKEN, port: 0 });
    try {
      const url = served.url.replace('0.0.0.0', '127.0.0.1');
      expect((await asking(url)).status).toBe(401);
      expect((await asking(url, { headers: { host: 'mail.example.com' } })).status).toBe(401);
    } finally {
      await served.close();
    }
  });

  test.each([
    '/',
    '/search',
    '/campaigns/x',
    '/api/search?address=a@b.c',
    '/api/events',
    '/extra',
    '/nowhere',
  ])('nothing of %s without a login', async (path) => {
    const { status, body } = await asking(closed.url + path);
    expect(status).toBe(401);
    expect(JSON.parse(body)).toMatchObject({ code: 'web-login', hint: expect.stringContaining('/login') });
  });

  test('a person gets the form, and the way on in it', async () => {
    const { status, body } = await asking(`${closed.url}/campaigns/spring`, {
      headers: { accept: 'text/html' },
    });
    expect(status).toBe(401);
    expect(body).toContain('<form class="alone login" method="post" action="/login">');
    expect(body).toContain('name="next" value="/campaigns/spring"');
  });

  test('the form gives a cookie that no script reads and no other site sends', async () => {
    const login = await asking(`${closed.url}/login`, {
      method: 'POST',
      headers: FORM,
      body: `token=${TOKEN}&next=%2Fsearch`,
    });
    expect(login).toMatchObject({ status: 303, headers: { location: '/search' } });
    const [cookie = ''] = login.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/; HttpOnly/);
    expect(cookie).toMatch(/; SameSite=Strict/);
    expect(cookie).not.toMatch(/; Secure/);
    expect(cookie).not.toContain(TOKEN);
    const headers = { cookie: cookie.split(';')[0] ?? '' };
    expect((await asking(`${closed.url}/`, { headers })).status).toBe(200);
    expect((await asking(`${closed.url}/extra`, { headers })).body).toBe('extra');
    const out = await asking(`${closed.url}/logout`, { method: 'POST', headers });
    expect(out.headers['set-cookie']?.[0]).toMatch(/Max-Age=0/);
  });

  test('behind https the cookie is for https alone', async () => {
    const headers = { ...FORM, 'x-forwarded-proto': 'https' };
    const login = await asking(`${closed.url}/login`, { method: 'POST', headers, body: `token=${TOKEN}` });
    expect(login.headers['set-cookie']?.[0]).toMatch(/; Secure/);
  });

  test('the form does not lead away', async () => {
    const body = `token=${TOKEN}&next=${encodeURIComponent('//evil.example')}`;
    const login = await asking(`${closed.url}/login`, { method: 'POST', headers: FORM, body });
    expect(login.headers.location).toBe('/');
  });

  test('another site cannot log a browser in', async () => {
    const headers = { ...FORM, origin: 'https://evil.example' };
    const login = await asking(`${closed.url}/login`, { method: 'POST', headers, body: `token=${TOKEN}` });
    expect(login.status).toBe(403);
    expect(login.headers['set-cookie']).toBeUndefined();
  });

  test('a program sends the token itself', async () => {
    const right = { authorization: `Bearer ${TOKEN}` };
    expect((await asking(`${closed.url}/api/whoami`, { headers: right })).status).toBe(200);
    const wrong = { authorization: `Bearer ${TOKEN}x` };
    expect((await asking(`${closed.url}/api/whoami`, { headers: wrong })).status).toBe(401);
  });

  test('the token in a URL is nothing', async () => {
    expect((await asking(`${closed.url}/api/whoami?token=${TOKEN}`)).status).toBe(401);
  });

  test('a form of a megabyte is not read', async () => {
    const body = `token=${'x'.repeat(1_000_000)}`;
    const login = await asking(`${closed.url}/login`, { method: 'POST', headers: FORM, body });
    expect(login.status).toBe(413);
  });

  test('health is no secret, and says nothing else', async () => {
    expect(await asking(`${closed.url}/healthz`)).toMatchObject({ status: 200, body: '{"ok":true}' });
    expect(await asking(`${closed.url}/readyz`)).toMatchObject({ status: 200, body: '{"ok":true}' });
  });

  test('an unexpected error says nothing to the viewer, and shows no stack', async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const { status, body } = await asking(`${closed.url}/broken?address=kim@example.com`, { headers });
    expect(status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({ code: 'unexpected' });
    expect(body).not.toMatch(/secret|kim|at .*:\d+/);
    expect(events.at(-1)).toEqual({
      kind: 'error',
      method: 'GET',
      path: '/broken',
      remote: '127.0.0.1',
      code: 'unexpected',
      message: 'password=secret at /home/kim',
    });
    expect(JSON.stringify(events)).not.toContain(TOKEN);
  });
});

test('after ten wrong tokens further wrong ones have to wait, and the right one never does', async () => {
  const site = await startSite({ token: TOKEN });
  try {
    const login = (token: string) =>
      asking(`${site.url}/login`, { method: 'POST', headers: FORM, body: `token=${token}` });
    const statuses: number[] = [];
    for (let i = 0; i < 10; i++) statuses.push((await login(`wrong ${i}`)).status);
    expect(statuses).toEqual(Array(10).fill(401));
    const refused = await login('wrong again');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.headers['set-cookie']).toBeUndefined();
    expect((await login(TOKEN)).status).toBe(303);
    const bearer = async (token: string) =>
      (await asking(`${site.url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).status;
    // Programs are counted by themselves.
    for (let i = 0; i < 10; i++) expect(await bearer(`wrong${i}`)).toBe(401);
    expect(await bearer('wrong')).toBe(429);
    expect(await bearer(TOKEN)).toBe(200);
  } finally {
    await site.end();
  }
});

describe('buttons', () => {
  const pause = (headers: Record<string, string>) =>
    asking(`${open.url}/api/campaigns/${spring.name}/pause`, { method: 'POST', headers });

  test.each([
    ['another origin', { ...ACTION, origin: 'https://evil.example' }],
    ['another site, by the browser', { ...ACTION, 'sec-fetch-site': 'cross-site' }],
    ['another port of this machine', { ...ACTION, origin: 'http://127.0.0.1:1' }],
    ['a file or a sandbox', { ...ACTION, origin: 'null' }],
    ['a form, which cannot send our header', { ...FORM }],
    ['a form of this origin', { ...FORM, 'sec-fetch-site': 'same-origin' }],
  ])('not from %s', async (_, headers) => {
    const { status, body } = await pause(headers);
    expect(status).toBe(403);
    expect(JSON.parse(body)).toMatchObject({ code: 'web-origin', hint: expect.any(String) });
    expect(await statusOf(open, spring.name)).toBe('running');
  });

  test('a browser that asks first is not told yes', async () => {
    const { headers } = await asking(`${open.url}/api/campaigns/${spring.name}/pause`, {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-headers': 'x-sendstate-action' },
    });
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('a GET changes nothing', async () => {
    const { status } = await asking(`${open.url}/api/campaigns/${spring.name}/pause`, { headers: ACTION });
    expect(status).toBe(404);
    expect(await statusOf(open, spring.name)).toBe('running');
  });

  test('from our own page: pause, resume, and what fails says why', async () => {
    const own = { ...ACTION, origin: open.url, 'sec-fetch-site': 'same-origin' };
    expect(await pause(own)).toMatchObject({ status: 200 });
    expect(await statusOf(open, spring.name)).toBe('paused');
    const post = (path: string) =>
      asking(`${open.url}/api/campaigns/${path}`, { method: 'POST', headers: own });
    expect(await post(`${spring.name}/resume`)).toMatchObject({ status: 200 });
    expect(await statusOf(open, spring.name)).toBe('running');
    const unknown = await post('absent/pause');
    expect(unknown.status).toBe(404);
    expect(JSON.parse(unknown.body)).toMatchObject({ code: 'campaign-unknown', hint: expect.any(String) });
    expect((await post(`${spring.name}/explode`)).status).toBe(404);
    expect((await post(`${spring.name}/retry?outcome=sent`)).status).toBe(400);
    expect((await post(`${spring.name}/retry`)).status).toBe(400);
  });
});

describe('read only', () => {
  test('nothing can be changed, and there is no button; a login works', async () => {
    const site = await startSite({ token: TOKEN, readOnly: true });
    try {
      const { name } = await runningCampaign(site.fresh.database, 3);
      const headers = { ...ACTION, authorization: `Bearer ${TOKEN}` };
      for (const verb of ['pause', 'resume', 'cancel', 'start', 'retry?outcome=rejected']) {
        const { status, body } = await asking(`${site.url}/api/campaigns/${name}/${verb}`, {
          method: 'POST',
          headers,
        });
        expect(status).toBe(403);
        expect(JSON.parse(body)).toMatchObject({ code: 'web-read-only' });
      }
      expect(await statusOf(site, name)).toBe('running');
      const page = await asking(`${site.url}/campaigns/${name}`, { headers });
      expect(page.body).not.toContain('id="retry"');
      expect(page.body).toContain('&quot;readOnly&quot;:true');
      const login = await asking(`${site.url}/login`, {
        method: 'POST',
        headers: FORM,
        body: `token=${TOKEN}`,
      });
      expect(login.status).toBe(303);
    } finally {
      await site.end();
    }
  });
});

describe('masked', () => {
  test('no answer holds a whole address: stream, search, reasons; there is no preview', async () => {
    const site = await startSite({ mask: true });
    try {
      const { pool, database } = site.fresh;
      const { campaignId, name } = await runningCampaign(database, 3, {
        status_reason: 'asked by kim@example.com',
      });
      const { rows } = await pool.query<{ id: number }>(
        `update recipient set send_state = 2, outcome = 'rejected', done_at = now(), reply_code = 550,
           reply = '5.1.1 <person1@example.com>: unknown' where address = 'person1@example.com' returning recipient_id as id`,
      );
      await pool.query(
        `insert into failure (campaign_id, outcome, reason, worker_id, recipients, example_id)
         values ($1, 'rejected', '550 <person1@example.com> unknown', 0, 1, $2)`,
        [campaignId, rows[0]?.id],
      );
      const viewer = await startViewer(`${site.url}/api/events?id=${campaignId}`);
      await expect
        .poll(() => viewer.cells.failures)
        .toMatchObject([{ reason: '550 <p…@example.com> unknown', example: 'p…@example.com' }]);
      expect(viewer.cells.campaign).toMatchObject({ reason: 'asked by k…@example.com' });
      viewer.close();
      const search = await asking(`${site.url}/api/search?address=PERSON1@example.com`);
      expect(JSON.parse(search.body)).toMatchObject([
        { address: 'p…@example.com', reply: '5.1.1 <p…@example.com>: unknown' },
      ]);
      expect(JSON.stringify(viewer.heard) + search.body).not.toMatch(/person1@|kim@/);
      for (const path of ['preview', 'preview.html']) {
        const { status, body } = await asking(
          `${site.url}/api/campaigns/${name}/${path}?as=person1@example.com`,
        );
        expect(status).toBe(403);
        expect(body).not.toContain('Person');
      }
      const missing = await asking(`${site.url}/api/campaigns/${name}/preview?as=absent.person@example.com`);
      expect(missing.body).not.toContain('absent.person@');
    } finally {
      await site.end();
    }
  });
});

describe('the preview', () => {
  test('has a policy of its own, and carries its pictures with it', async () => {
    const { name, campaignId } = await runningCampaign(open.fresh.database, 1, {
      text: null,
      html: '<p>Dear {{name}}</p><img src="cid:logo"><img src="cid:other"><script>alert(1)</script>',
    });
    await open.fresh.pool.query(
      `insert into attachment (campaign_id, attachment_id, filename, content_type, content_id, content)
       values ($1, 1, 'logo.png', 'image/png', 'logo', '\\x00ff'), ($1, 2, 'x.html', 'text/html', 'other', '\\x3c')`,
      [campaignId],
    );
    const { status, headers, body } = await asking(`${open.url}/api/campaigns/${name}/preview.html`);
    expect(status).toBe(200);
    const policy = String(headers['content-security-policy']);
    expect(policy).toMatch(/^sandbox; default-src 'none'/);
    expect(policy).toContain("frame-ancestors 'self'");
    expect(policy).not.toContain('script-src');
    expect(policy).not.toContain('allow-');
    expect(headers['x-frame-options']).toBe('SAMEORIGIN');
    expect(body).toContain('<p>Dear Person 1</p><img src="data:image/png;base64,AP8="><img src="cid:other">');
  });

  test('of an absent recipient', async () => {
    const { status, body } = await asking(
      `${open.url}/api/campaigns/${spring.name}/preview?as=nobody@example.com`,
    );
    expect(status).toBe(404);
    expect(JSON.parse(body)).toMatchObject({ code: 'recipient-unknown' });
  });
});

describe('the choice of a language', () => {
  test('is remembered, and leads nowhere but to the same page', async () => {
    const chosen = await asking(`${open.url}/search?lang=ko`);
    expect(chosen).toMatchObject({ status: 303, headers: { location: '/search' } });
    expect(chosen.headers['set-cookie']?.[0]).toMatch(/^sendstate-language=ko;/);
    for (const path of ['//evil.example/', '/%5Cevil.example', '/\\evil.example/'])
      expect(
        new URL((await asking(`${open.url}${path}?lang=ko`)).headers.location ?? '', open.url).host,
      ).toBe(new URL(open.url).host);
  });

  test('needs no login, and the page that was asked for is not forgotten over it', async () => {
    const html = { accept: 'text/html' };
    for (const path of ['/login', '/campaigns/spring']) {
      const form = await asking(closed.url + path, { headers: html });
      expect(form.body).toContain(`href="${path}?lang=ko"`);
      const chosen = await asking(`${closed.url}${path}?lang=ko`, { headers: html });
      expect(chosen).toMatchObject({ status: 303, headers: { location: path } });
      const headers = { ...html, cookie: chosen.headers['set-cookie']?.[0]?.split(';')[0] ?? '' };
      expect((await asking(closed.url + path, { headers })).body).toContain('<h1>로그인</h1>');
    }
    const strange = await asking(`${closed.url}//evil.example/`, { headers: html });
    expect(strange.body).not.toContain('href="//evil');
  });
});

test('what goes wrong is said in the language of the page', async () => {
  const headers = { accept: 'text/html', 'accept-language': 'ko' };
  const { status, body } = await asking(`${open.url}/campaigns/absent`, { headers });
  expect(status).toBe(404);
  expect(body).toContain('그런 이름의 캠페인이 없습니다');
  expect(body).not.toContain('There is no campaign');
});

test('what relays and spreadsheets wrote is text in the page, never markup', async () => {
  const { body } = await asking(
    `${open.url}/campaigns/${encodeURIComponent('<img src=x onerror=alert(1)>')}`,
    {
      headers: { accept: 'text/html' },
    },
  );
  expect(body).not.toContain('<img src=x');
  expect(body).toContain('&lt;img src=x');
});
