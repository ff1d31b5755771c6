import { createRequire } from 'node:module';
import { cpus, release, totalmem, type } from 'node:os';
import type { Machine } from './raw.ts';

/** What stands between this repository and the brokers. */
const PACKAGES = [
  'pg',
  'amqplib',
  '@platformatic/kafka',
  'memcache',
  'graphile-worker',
  'pg-boss',
  'bullmq',
  'ioredis',
  'nodemailer',
] as const;

/** What the figures were measured on. */
export function readMachine(): Machine {
  const manifest = createRequire(import.meta.url)('../package.json') as {
    readonly dependencies: Readonly<Record<string, string>>;
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  const versions = { ...manifest.dependencies, ...manifest.devDependencies };
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() || process.arch,
    cores: all.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versions[name] ?? 'unknown'])),
  };
}
