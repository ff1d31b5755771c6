import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Tier } from '../contract.ts';
import { findProgram } from '../installed.ts';
import { type Broker, type BrokerOptions, missingBroker } from './broker.ts';
import { answers, Daemon, freePort, makeFolder, plainEnvironment, removeFolder } from './daemon.ts';

const HOW = 'Debian: apt-get install redis-server';

export function missingRedis(): string | null {
  return findProgram('redis-server') === null ? HOW : null;
}

/**
 * Redis with an append-only file. appendfsync always answers after the fsync (tier A); everysec answers after the
 * write(), which a killed process survives and a lost power does not (tier B). noeviction is what BullMQ demands.
 */
export async function startRedis(tier: Tier, options: BrokerOptions = {}): Promise<Broker> {
  const program = findProgram('redis-server');
  if (program === null) throw missingBroker('redis', HOW);
  const folder = await makeFolder('redis', options.scratch);
  const port = await freePort();
  const configuration = {
    appendonly: 'yes',
    appendfsync: tier === 'A' ? 'always' : 'everysec',
    // The append-only file alone is the durability; snapshots beside it would only cost.
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const args = Object.entries({ port: `${port}`, bind: '127.0.0.1', dir: folder, ...configuration });
  // While it reads the file back it answers -LOADING.
  const serves = () => answers(port, 'PING\r\n', /^\+PONG/);
  const daemon = new Daemon(
    {
      name: 'redis',
      program,
      args: args.flatMap(([key, value]) => [`--${key}`, value]),
      env: plainEnvironment(folder),
      cwd: folder,
      log: path.join(folder, 'log'),
    },
    serves,
  );
  const broker: Broker = {
    url: `redis://127.0.0.1:${port}`,
    pids: () => daemon.pids(),
    dataDirectory: folder,
    version: / v=(\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    configuration,
    answers: serves,
    kill: () => daemon.kill(),
    restart: () => daemon.start(),
    stop: async () => {
      await daemon.kill();
      await removeFolder(folder);
    },
  };
  await daemon.start().catch(async (error: unknown) => {
    await broker.stop();
    throw error;
  });
  return broker;
}
