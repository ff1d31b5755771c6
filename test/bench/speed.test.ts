import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, inject, it } from 'vitest';
import { findProgram } from '../../bench/installed.ts';

const program = fileURLToPath(new URL('../../bench/speed.ts', import.meta.url));

interface Figures {
  readonly [name: string]: number;
}

describe('bench/speed.ts --quick --json', () => {
  it('measures everything once and finds every mail exactly once', { timeout: 180_000 }, async () => {
    const child = spawn(process.execPath, [program, '--quick', '--json'], {
      env: { ...process.env, DATABASE_URL: inject('testServer').adminUrl },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = once(child, 'exit');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect(await exited, stderr).toEqual([0, null]);
    const { distance, ratioToSmtpSource, ...figures } = JSON.parse(
      stdout.trimEnd().split('\n').at(-1) ?? '',
    ) as { readonly distance: Figures; readonly ratioToSmtpSource: number | null } & Figures;

    expect(Object.keys(figures)).toEqual([
      'mailsPerSecond',
      'ratioToTextbook',
      'ratioToBlast',
      'rssMb',
      'growthRatio',
      'lost',
      'duplicated',
    ]);
    expect(Object.keys(distance)).toEqual(['grouped', 'chunked']);
    const { lost, duplicated, ...positive } = figures;
    expect({ lost, duplicated }).toEqual({ lost: 0, duplicated: 0 });
    for (const [name, figure] of Object.entries({ ...positive, ...distance }))
      expect(figure, name).toBeGreaterThan(0);
    if (findProgram('smtp-source') === null) expect(ratioToSmtpSource).toBeNull();
    else expect(ratioToSmtpSource).toBeGreaterThan(0);

    expect(stderr).toMatch(/verified whole: (\d+) mails to \1 of \1 recipients, 0 twice/);
    expect(stderr).toMatch(/verified textbook: (\d+) mails to \1 of \1 recipients, 0 twice/);
    expect(stderr).toMatch(/80 ms away, one connection: nodemailer .* chunked .* mails\/s/);
  });
});
