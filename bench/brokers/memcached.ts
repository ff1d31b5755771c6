import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { findProgram } from '../installed.ts';
import { type Broker, type BrokerOptions, missingBroker } from './broker.ts';
import { answers, Daemon, freePort, makeFolder, plainEnvironment, removeFolder } from './daemon.ts';

/** MB. A million queued people of 300 bytes fit twice. */
const MEMORY_MB = 1024;
const HOW = 'Debian: apt-get install memcached';

export function missingMemcached(): string | null {
  return findProgram('memcached') === null ? HOW : null;
}

/**
 * memcached with -M: when the memory is full it answers with an error instead of throwing people away. Everything it
 * holds is in memory, so that restart() brings back an empty one.
 */
export async function startMemcached(options: BrokerOptions = {}, memoryMb = MEMORY_MB): Promise<Broker> {
  const program = findProgram('memcached');
  if (program === null) throw missingBroker('memcached', HOW);
  const folder = await makeFolder('memcached', options.scratch);
  const port = await freePort();
  const args = ['-l', '127.0.0.1', '-p', `${port}`, '-U', '0', '-M', '-m', `${memoryMb}`, '-c', '256'];
  // It refuses to stay root.
  if (process.getuid?.() === 0) args.push('-u', 'nobody');
  const serves = () => answers(port, 'version\r\n', /^VERSION /);
  const daemon = new Daemon(
    {
      name: 'memcached',
      program,
      args,
      env: plainEnvironment(folder),
      cwd: folder,
      log: path.join(folder, 'log'),
    },
    serves,
  );
  const broker: Broker = {
    url: `127.0.0.1:${port}`,
    pids: () => daemon.pids(),
    dataDirectory: folder,
    version: execFileSync(program, ['-V'], { encoding: 'utf8' }).trim().replace('memcached ', ''),
    configuration: { '-M': 'an error instead of eviction', '-m': `${memoryMb} MB` },
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
