import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { hasPromtool, promtool } from '../support/promtool.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const RULES = path('../../docs/alerts.yml');
const CASES = path('alerts.promtool.yml');

describe.runIf(hasPromtool)('the alerts, by promtool', () => {
  test('are rules', () => {
    expect(promtool(['check', 'rules', RULES]).output).toContain('SUCCESS');
  });

  test('fire when they should, and not when they should not', () => {
    const { status, output } = promtool(['test', 'rules', CASES]);
    expect(output).toContain('SUCCESS');
    expect(status).toBe(0);
  });
});

test('each alert has a case in which it fires and one in which it does not', () => {
  const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: { rules: { alert: string }[] }[] };
  const { tests } = parse(readFileSync(CASES, 'utf8')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
  };
  const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
  for (const { alert } of groups.flatMap(({ rules }) => rules)) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    expect([alert, own.some(({ exp_alerts }) => exp_alerts.length > 0)]).toEqual([alert, true]);
    expect([alert, own.some(({ exp_alerts }) => exp_alerts.length === 0)]).toEqual([alert, true]);
  }
});
