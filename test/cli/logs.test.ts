import { afterEach, describe, expect, test } from 'vitest';
import type { CaptureOptions } from '../../src/capture/capture.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';

let shell: Shell;
afterEach(() => shell.end());

/** A relay that knows no recipient whose number ends in 3, and repeats the address. */
const PICKY: CaptureOptions = {
  policy: (recipient) =>
    /3@/.test(recipient) ? { at: 'rcpt', reply: `550 5.1.1 <${recipient}> no such user` } : null,
};

const linesOf = (stderr: string): Record<string, unknown>[] =>
  stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('log lines', () => {
  test('work without a terminal writes JSON, one line an event, and names no recipient', async () => {
    shell = await startShell(PICKY);
    const { campaignId, name } = await runningCampaign(shell.fresh.database, 20);
    const { code, stdout, stderr } = await shell.run(['work', '--drain']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    const lines = linesOf(stderr);
    for (const line of lines) {
      expect(line).toMatchObject({
        level: expect.stringMatching(/^(info|warn|error)$/),
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        event: expect.any(String),
        msg: expect.any(String),
      });
    }
    expect(lines[0]).toMatchObject({ event: 'started', workerId: expect.any(Number) });
    const of = (event: string) => lines.filter((line) => line.event === event);
    expect(of('campaign').map(({ now }) => now)).toEqual(['started', 'idle', 'finished']);
    expect(of('campaign')[0]).toMatchObject({ campaign: name, campaignId, msg: `${name}: started` });
    expect(of('result').map(({ outcome, replyCode, reason }) => [outcome, replyCode, reason])).toEqual([
      ['rejected', 550, '550 5.1.1 <…> no such user'],
      ['rejected', 550, '550 5.1.1 <…> no such user'],
    ]);
    expect(stderr).not.toContain('@');
  });

  test('--log words is as on a terminal; --log pretty is a line for people with the fields', async () => {
    shell = await startShell();
    const one = await runningCampaign(shell.fresh.database, 3);
    const words = await shell.run(['work', '--drain', '--log', 'words']);
    expect(words.stderr).toBe(`${one.name}: started\n${one.name}: idle\n${one.name}: finished\n`);
    const two = await runningCampaign(shell.fresh.database, 3);
    const pretty = await shell.run(['work', '--drain', '--log=pretty']);
    expect(pretty.stderr).toMatch(
      new RegExp(
        `^\\[\\d\\d:\\d\\d:\\d\\d\\] INFO.*: ${two.name}: finished \\{.*"campaignId":${two.campaignId}`,
        'm',
      ),
    );
    expect(pretty.stderr).not.toContain('\u001b');
  });

  test('send speaks in words unless asked, and then its report stays on stdout', async () => {
    shell = await startShell();
    const one = await runningCampaign(shell.fresh.database, 3);
    expect((await shell.run(['send', one.name])).stderr).toBe('');
    const two = await runningCampaign(shell.fresh.database, 3);
    const json = await shell.run(['send', two.name, '--log', 'json']);
    expect(linesOf(json.stderr).map(({ event }) => event)).toContain('campaign');
    expect(json.stdout).toContain(`${two.name} is finished`);
  });

  test('who ended without a mail has a line, ten a second at most, named only when asked', async () => {
    shell = await startShell();
    // A template that these rows do not fill.
    const broken = { text: 'Dear {{nickname}}' };
    const one = await runningCampaign(shell.fresh.database, 300, broken);
    const { stderr } = await shell.run(['work', '--drain']);
    const lines = linesOf(stderr).filter(({ event }) => event === 'result');
    expect(lines.length).toBeGreaterThanOrEqual(10);
    expect(lines.length).toBeLessThan(150);
    // A recipient without a line is counted, to the last.
    const counted = linesOf(stderr).filter(({ event }) => event === 'recipients');
    const others = counted.reduce((sum, { recipients }) => sum + Number(recipients), 0);
    expect(lines.length + others).toBe(300);
    expect(lines[0]).toMatchObject({
      campaign: one.name,
      outcome: 'invalid',
      claimId: expect.any(Number),
      recipientId: expect.any(Number),
      reason: expect.stringContaining('nickname'),
    });
    expect(stderr).not.toContain('@');
    await runningCampaign(shell.fresh.database, 3, broken);
    const named = await shell.run(['work', '--drain', '--log-addresses']);
    expect(named.stderr).toMatch(/"address":"person\d@example\.com"/);
  });

  test('what a stranger wrote cannot break a line or move the cursor', async () => {
    shell = await startShell();
    const { pool, database } = shell.fresh;
    const { campaignId } = await runningCampaign(database, 2);
    await pool.query(`update campaign set name = E'a\\u001b[2J\\n"b' where campaign_id = $1`, [campaignId]);
    const { stderr } = await shell.run(['work', '--drain']);
    expect(linesOf(stderr).length).toBeGreaterThan(3);
    expect(stderr).not.toContain('\u001b');
  });
});
