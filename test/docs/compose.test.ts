import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { textOf } from './markdown.ts';

interface Service {
  readonly image: string;
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: {
    readonly test: readonly string[];
    readonly interval: string;
    readonly retries: number;
  };
}

const file = textOf('docker-compose.yml');
const { services, volumes } = parse(file) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};

test('without a profile: a database and a mail catcher; with `bench`: the brokers as well', () => {
  const byProfile = Object.entries(services).map(([name, { profiles }]) => [name, profiles ?? []]);
  expect(Object.fromEntries(byProfile)).toEqual({
    postgres: [],
    mail: [],
    rabbitmq: ['bench'],
    kafka: ['bench'],
    memcached: ['bench'],
    redis: ['bench'],
  });
});

test.each(Object.entries(services))('%s: pinned, on this machine only, with a health check', (_, service) => {
  expect(service.image).toMatch(/:v?\d+\.\d+\.\d+|:\d+\.\d+-alpine\d/);
  expect(service.ports?.length).toBeGreaterThan(0);
  for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+$/);
  expect(service.healthcheck?.test[0]).toMatch(/^CMD(-SHELL)?$/);
  expect(service.healthcheck?.interval).toMatch(/^\d+s$/);
});

test('no two services want the same port of this machine', () => {
  const ports = Object.values(services).flatMap(({ ports = [] }) =>
    ports.map((port) => /:-(\d+)\}/.exec(port)?.[1]),
  );
  expect(new Set(ports).size).toBe(ports.length);
});

test('the database is of the embedded one’s version', () => {
  const { optionalDependencies } = JSON.parse(textOf('package.json')) as {
    optionalDependencies: Record<string, string>;
  };
  const [embedded = ''] = Object.values(optionalDependencies);
  expect(services.postgres?.image).toContain(`:${embedded.split('.').slice(0, 2).join('.')}-`);
});

test('what the comment says to put into .env is taken, and leads to these services', () => {
  const env = Object.fromEntries(
    [...file.matchAll(/^# {5}([A-Z_]+)=(\S+)$/gm)].map(([, name, value]) => [name, value]),
  );
  const { databaseUrl, relays } = loadConfig({ env, cwd: '/nonexistent' });
  const url = new URL(databaseUrl?.reveal() ?? '');
  const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = services.postgres?.environment ?? {};
  expect([url.username, url.password, url.pathname]).toEqual([
    POSTGRES_USER,
    POSTGRES_PASSWORD,
    `/${POSTGRES_DB}`,
  ]);
  expect(services.postgres?.ports?.[0]).toContain(`:-${url.port}}`);
  expect(services.mail?.ports?.[0]).toContain(`:-${relays[0]?.port}}`);
});

test('every volume that is used is declared', () => {
  const used = Object.values(services).flatMap((service) =>
    (service.volumes ?? []).map((volume) => volume.split(':')[0] ?? ''),
  );
  expect(used.sort()).toEqual(Object.keys(volumes).sort());
});
