import { readFile, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../database/problems.ts';
import { writePrivate } from './files.ts';
import { dataOf, type Home } from './home.ts';
import { run } from './run.ts';

/** What a running server writes into data/postmaster.pid (miscadmin.h, LOCK_FILE_LINE_*). */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly status: 'starting' | 'ready' | 'stopping' | 'standby';
}

const pidFile = (data: string) => path.join(data, 'postmaster.pid');

/**
 * The server that runs on these files now. A pid file alone proves nothing: after a crash or a restart of the machine its pid
 * may belong to any other program, so the process itself is looked at.
 */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const lines = await pidLines(data);
  const pid = Number(lines?.[0]);
  if (lines === undefined || !Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  if (!(await isPostgresOn(pid, data))) return undefined;
  const word = lines[7]?.trim();
  const status = word === 'ready' || word === 'stopping' || word === 'standby' ? word : 'starting';
  return { pid, port: Number(lines[3]), status };
}

/**
 * Lets a server start although the pid in a left-over pid file belongs to another process now; Postgres itself would refuse.
 * Only the pid is replaced, by one that cannot exist: the shared memory key stays in the file, so Postgres still
 * notices backends of the dead server that live on. Call it under the lock, when findPostmaster() found nothing.
 */
export async function disarmPidFile(home: Home): Promise<void> {
  const lines = await pidLines(dataOf(home));
  if (lines === undefined || !isAlive(Number(lines[0]))) return;
  await writePrivate(home, pidFile(dataOf(home)), [IMPOSSIBLE_PID, ...lines.slice(1)].join('\n'));
}

/** Above every system's largest pid (2^22 on Linux), and still an int. */
const IMPOSSIBLE_PID = 2 ** 31 - 2;

async function pidLines(data: string): Promise<string[] | undefined> {
  try {
    return (await readFile(pidFile(data), 'utf8')).split('\n');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function isPostgresOn(pid: number, data: string): Promise<boolean> {
  const command = await commandLine(pid);
  if (!/postgres/.test(command)) return false;
  // Windows tells another process's name and not its arguments; its pids are recycled late.
  if (process.platform === 'win32') return true;
  const real = await realpath(data);
  if (command.includes(data) || command.includes(real)) return true;
  // Started before the directory was moved: its working directory moved along.
  return (await workingDirectory(pid)) === real;
}

/** What a process was started as, its words separated by blanks; '' when there is no such process. */
async function commandLine(pid: number): Promise<string> {
  if (process.platform === 'win32') {
    const { output } = await run('tasklist', ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH'], {
      cwd: process.cwd(),
    });
    return output;
  }
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ESRCH') throw error;
    return (await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)])).output;
  }
}

async function workingDirectory(pid: number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/cwd`);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(codeOf(error))) return undefined;
    throw error;
  }
}
