import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { FailingWatch, RESULTS } from '../../src/hooks/failing.ts';
import { type Happening, Hooks } from '../../src/hooks/hooks.ts';
import { parseTarget } from '../../src/hooks/target.ts';
import { blocksOf, textOf } from '../docs/markdown.ts';
import { result, runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

interface Got {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly path: string;
}

/** A server that keeps what it gets and answers with these codes, the last one for ever; 0: it never answers. */
class Listener {
  readonly got: Got[] = [];
  readonly #server: Server;

  constructor(codes: readonly number[]) {
    this.#server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        this.got.push({ headers: request.headers, body, path: request.url ?? '' });
        const code = codes[Math.min(this.got.length, codes.length) - 1] ?? 200;
        if (code === 0) return;
        response.writeHead(code, code >= 300 && code < 400 ? { location: '/elsewhere' } : {}).end('thanks');
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function listener(...codes: number[]): Promise<{ url: string; got: Got[] }> {
  const one = new Listener(codes);
  ends.push(() => one.close());
  return { url: await one.listen(), got: one.got };
}

async function shell(): Promise<Shell> {
  const one = await startShell();
  ends.push(() => one.end());
  return one;
}

const happening: Happening = {
  event: 'finished',
  id: 'finished-1-2',
  campaign: `봄 소식 "$(touch hacked)"`,
  status: 'finished',
  reason: null,
  outcomes: { sent: 3 },
  at: '2026-11-23T09:00:00.000Z',
};

function hooks(text: string, more: Partial<ConstructorParameters<typeof Hooks>[0]> = {}) {
  const notes: string[] = [];
  const made = new Hooks({
    targets: { finished: parseTarget(text) },
    secret: 'a secret',
    env: { PATH: process.env.PATH },
    note: (words) => notes.push(words),
    waitsMs: [10, 20, 30, 40],
    ...more,
  });
  return { made, notes };
}

/** The function of the page, as a reader would copy it. */
async function isGenuine(): Promise<
  (header: unknown, body: string, secret: string, now?: number) => boolean
> {
  const code = blocksOf(textOf('docs/monitoring.md')).find(({ language }) => language === 'js')?.code ?? '';
  const module = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return module.isGenuine;
}

describe('a URL', () => {
  test('that fails twice is told at the third try, signed as the page says', async () => {
    const { url, got } = await listener(500, 503, 200);
    const { made, notes } = hooks(`${url}/hook?key=s3cr3t`);
    made.tell(happening);
    made.tell(happening);
    await expect.poll(() => notes).toEqual([expect.stringContaining('was told, at try 3')]);
    await made.close();
    expect(got.length).toBe(3);
    expect(got.map(({ body }) => JSON.parse(body))).toEqual([happening, happening, happening]);
    const { headers, body } = got[2] as Got;
    const genuine = await isGenuine();
    const header = headers['sendstate-signature'];
    expect(genuine(header, body, 'a secret')).toBe(true);
    expect(genuine(header, `${body} `, 'a secret')).toBe(false);
    expect(genuine(header, body, 'another')).toBe(false);
    expect(genuine(header, body, 'a secret', Date.now() / 1000 + 3600)).toBe(false);
    expect(genuine(undefined, body, 'a secret')).toBe(false);
    expect(notes.join()).not.toContain('s3cr3t');
  });

  test('is tried five times, and given up with the reason', async () => {
    const { url, got } = await listener(500);
    const { made, notes } = hooks(url);
    made.tell(happening);
    await expect
      .poll(() => notes)
      .toEqual([expect.stringMatching(/could not be told: it answered 500, after 5 tries/)]);
    expect(got.length).toBe(5);
  });

  test('that redirects or refuses is asked once, and no redirect is followed', async () => {
    for (const code of [302, 404]) {
      const { url, got } = await listener(code);
      const { made, notes } = hooks(url);
      made.tell(happening);
      await expect.poll(() => notes).toEqual([expect.stringContaining(`it answered ${code}, after 1 try`)]);
      expect(got.map((one) => one.path)).toEqual(['/']);
    }
  });

  test('gets the user of the URL as basic authentication, and no other URL does', async () => {
    const { url, got } = await listener(200);
    const { made, notes } = hooks(url.replace('//', '//kim:p%40ss@'), { secret: null });
    made.tell(happening);
    await made.close();
    expect(got[0]?.headers.authorization).toBe(`Basic ${Buffer.from('kim:p@ss').toString('base64')}`);
    expect(got[0]?.headers['sendstate-signature']).toBeUndefined();
    expect(notes[0]).toContain('not signed');
    expect(notes.join()).not.toContain('ss@');
  });

  test('at the end what waits for another try has it at once, and what hangs is cut', async () => {
    const { url, got } = await listener(500, 200);
    const slow = hooks(url, { waitsMs: [600_000] });
    slow.made.tell(happening);
    await expect.poll(() => got.length).toBe(1);
    await slow.made.close();
    expect(slow.notes).toEqual([expect.stringContaining('was told, at try 2')]);

    const hung = await listener(0);
    const never = hooks(hung.url, { endWithinMs: 100 });
    never.made.tell(happening);
    await expect.poll(() => hung.got.length).toBe(1);
    await never.made.close();
    expect(never.notes).toEqual([expect.stringContaining('could not be told')]);
  });

  test('more than a hundred under way are left out, and said', async () => {
    const { url, got } = await listener(0);
    const { made, notes } = hooks(url, { endWithinMs: 50, requestMs: 60_000 });
    for (let i = 0; i < 103; i++) made.tell({ ...happening, id: `finished-${i}` });
    expect(notes.filter((words) => words.includes('left out')).length).toBe(3);
    await made.close();
    expect(got.length).toBeLessThanOrEqual(100);
  });
});

describe('a command', () => {
  test('gets the JSON and the environment, and nothing that happened is run', async () => {
    const { made, notes } = hooks('cat; echo; echo "$SENDSTATE_EVENT $SENDSTATE_CAMPAIGN"; test ! -e hacked');
    made.tell(happening);
    await made.close();
    const said = notes.join('\n');
    expect(said).toContain(JSON.stringify(happening));
    expect(said).toContain(`finished ${happening.campaign}`);
    expect(said).toContain('was told');
  });

  test('that leaves a job behind is told, is not waited for, and the job lives on', async () => {
    const directory = await makeScratch('hooks');
    ends.push(() => removeScratch(directory));
    const [go, file] = [path.join(directory, 'go'), path.join(directory, 'done')];
    // The job holds the pipes open; it ends when we say so, long after the command had to.
    const job = `while [ ! -e '${go}' ]; do sleep 0.1; done; echo done >'${file}'`;
    const { made, notes } = hooks(`(${job}) & echo started; exit 0`, {
      commandMs: 5_000,
      endWithinMs: 30_000,
    });
    made.tell(happening);
    await made.close();
    expect(notes).toEqual([expect.stringContaining('says: started'), expect.stringContaining('was told')]);
    await writeFile(go, '');
    await expect.poll(() => existsSync(file), { timeout: 20_000 }).toBe(true);
  });

  test('the end waits its time and no longer, whatever still wants to tell', async () => {
    const { made, notes } = hooks('sleep 600', { endWithinMs: 100 });
    made.tell(happening);
    await made.close([new Promise<void>(() => undefined)]);
    expect(notes).toEqual([expect.stringContaining('we are ending')]);
  });

  test('that fails, hangs or reads nothing is said, with what it said', async () => {
    const failing = hooks('echo broken >&2; exit 3');
    failing.made.tell(happening);
    await failing.made.close();
    expect(failing.notes).toEqual([
      expect.stringContaining('says: broken'),
      expect.stringContaining('could not be told: exit code 3, after 1 try'),
    ]);
    const hanging = hooks('sleep 600', { commandMs: 100 });
    hanging.made.tell(happening);
    await hanging.made.close();
    expect(hanging.notes).toEqual([expect.stringContaining('it took longer than 0.1 s')]);
  });
});

describe('failing', () => {
  const relay = (state: 'open' | 'closed') =>
    ({
      kind: 'relay',
      label: 'mx',
      several: false,
      breaker: { state, failures: 5, until: 0, opened: 1, reason: '421 no' },
      misconfigured: null,
    }) as never;
  const ended = (outcome: 'sent' | 'rejected') =>
    ({
      kind: 'result',
      campaignId: 1,
      name: 'spring',
      result: result(1, 1, outcome),
      recipient: {},
    }) as never;

  test('a relay that is in trouble for long is said once, until it works again', () => {
    const watch = new FailingWatch(1000);
    watch.event(relay('open'), 0);
    expect(watch.tick(999)).toEqual([]);
    watch.event(relay('open'), 900);
    expect(watch.tick(1000)).toMatchObject([
      { subject: 'relay mx', campaign: null, reason: 'relay mx: 421 no' },
    ]);
    expect(watch.tick(5000)).toEqual([]);
    watch.event(relay('closed'), 6000);
    watch.event(relay('open'), 7000);
    expect(watch.tick(7500)).toEqual([]);
    expect(watch.tick(8000).length).toBe(1);
  });

  test('a campaign of which many end without a mail is said once, until few do', () => {
    const watch = new FailingWatch(1000);
    const span = (bad: number) =>
      Array.from({ length: RESULTS }, (_, i) => watch.event(ended(i < bad ? 'rejected' : 'sent'), 0)).filter(
        (found) => found !== null,
      );
    expect(span(20)).toEqual([]);
    expect(span(21)).toMatchObject([{ campaign: 'spring', reason: expect.stringContaining('21 of 100') }]);
    expect(span(50)).toEqual([]);
    expect(span(5)).toEqual([]);
    expect(span(50).length).toBe(1);
  });
});

describe('the command line', () => {
  test('send tells that it finished, once over all processes, and a hung URL delays no recipient', async () => {
    const { run, fresh } = await shell();
    const { campaignId, name } = await runningCampaign(fresh.database, 40);
    const told = await listener(200);
    const { code, stderr } = await run(
      ['send', name, '--processes', '2', '--on-finished', told.url, '--batch', '10'],
      { env: { SENDSTATE_HOOK_SECRET: 'a secret' } },
    );
    expect(code, stderr).toBe(0);
    expect(told.got.length).toBe(1);
    const { body, headers } = told.got[0] as Got;
    expect(JSON.parse(body)).toMatchObject({
      event: 'finished',
      campaign: name,
      status: 'finished',
      outcomes: { sent: 40, rejected: 0 },
      id: expect.stringMatching(new RegExp(`^finished-${campaignId}-\\d+$`)),
    });
    expect((await isGenuine())(headers['sendstate-signature'], body, 'a secret')).toBe(true);
    expect(stderr).not.toContain('a secret');
  });

  test('work goes on while a URL hangs; an operator’s pause is told', async () => {
    const { start, run, fresh, relay } = await shell();
    const { name } = await runningCampaign(fresh.database, 5);
    const hung = await listener(0);
    const paused = await listener(200);
    const worker = await start([
      'work',
      '--on-finished',
      hung.url,
      '--on-paused',
      paused.url,
      '--lease',
      '2',
    ]);
    await worker.says(new RegExp(`${name}: finished`));
    await expect.poll(() => hung.got.length, { timeout: 10_000 }).toBe(1);
    const next = await runningCampaign(fresh.database, 300, { rate: 20 });
    await expect.poll(() => relay.accepted, { timeout: 15_000 }).toBeGreaterThan(10);
    expect((await run(['pause', next.name, '--reason', 'lunch'])).code).toBe(0);
    await expect.poll(() => paused.got.length, { timeout: 10_000 }).toBe(1);
    expect(JSON.parse(paused.got[0]?.body ?? '')).toMatchObject({
      event: 'paused',
      campaign: next.name,
      reason: 'lunch',
    });
  });

  test('a relay that stays away is told as failing, by a command', async () => {
    const { start, fresh, directory } = await shell();
    await runningCampaign(fresh.database, 5);
    const worker = await start(
      ['work', '--failing-after', '1', '--on-failing', 'cat > failing.json', '--lease', '2'],
      {
        env: { SMTP_URL: 'smtp://127.0.0.1:1' },
      },
    );
    await worker.says(/hook for failing \(cat\) was told/);
    const { default: told } = await import(pathToFileURL(path.join(directory, 'failing.json')).href, {
      with: { type: 'json' },
    });
    expect(told).toMatchObject({
      event: 'failing',
      campaign: null,
      reason: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('a hook that is neither URL nor command is wrong usage', async () => {
    const { run } = await shell();
    const { code, stderr } = await run(['work', '--on-finished', 'http://']);
    expect(code).toBe(2);
    expect(stderr).toContain('The URL of the hook cannot be read');
  });
});
