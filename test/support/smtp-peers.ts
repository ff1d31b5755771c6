import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { RELAY_FILES } from './smtp-tls.ts';

/** A real mail server that treats `reject…` as unknown, `defer…` as greylisted, and a subject of `spam` as spam. */
export interface RealPeer {
  readonly port: number;
  /** How often each recipient's mail was taken, from the server's own records, once they hold `count` mails. */
  taken(count: number): Promise<Map<string, number>>;
  close(): Promise<void>;
}

const CACHE = '/var/cache/sendstate-peers';
/** How long a server may take to start or to write its records, in milliseconds. */
const PATIENCE_MS = 15_000;

/** A program of a Debian package: where it is installed, or where install-peers.sh put it. */
function program(debianPackage: string, path: string): string {
  const found = [path, join(CACHE, debianPackage, path)].find((one) => existsSync(one));
  if (found === undefined) {
    throw new Error(
      `${path} is not on this machine. It is in Debian's package ${debianPackage}: run test/support/install-peers.sh as root.`,
    );
  }
  if (process.getuid?.() !== 0) throw new Error(`${path} needs root to be started: run this test as root.`);
  return found;
}

/** Postfix with its own configuration, queue and log; what it takes goes to its discard transport. */
export async function startPostfix(): Promise<RealPeer> {
  const master = program('postfix', '/usr/lib/postfix/sbin/master');
  const port = await freePort();
  const home = scratch();
  const etc = join(home, 'etc');
  for (const directory of ['etc', 'queue', 'data']) mkdirSync(join(home, directory));
  execFileSync('chown', ['postfix', join(home, 'data')]);
  writeFileSync(
    join(etc, 'recipients'),
    '/^reject/ REJECT 5.1.1 no such user\n/^defer/ DEFER 4.2.0 greylisted\n',
  );
  writeFileSync(join(etc, 'headers'), '/^Subject: spam/ REJECT 5.7.1 spam\n');
  writeFileSync(join(etc, 'main.cf'), postfixMain(home));
  writeFileSync(join(etc, 'master.cf'), postfixMaster(port));
  execFileSync('postfix', ['-c', etc, 'check'], { stdio: 'ignore' });
  const child = spawn(master, ['-c', etc, '-d'], { stdio: 'ignore' });
  return await ready(child, home, port, () => addresses(join(home, 'log'), /to=<([^>]*)>.*status=sent/));
}

function postfixMain(home: string): string {
  return `compatibility_level = 3.6
queue_directory = ${home}/queue
data_directory = ${home}/data
daemon_directory = /usr/lib/postfix/sbin
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = ${home}/log
maillog_file_prefixes = ${home}
default_transport = discard
smtpd_recipient_restrictions = check_recipient_access regexp:${home}/etc/recipients, permit_mynetworks, reject
header_checks = regexp:${home}/etc/headers
smtpd_client_connection_count_limit = 0
smtpd_junk_command_limit = 1000000
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000000
smtpd_hard_error_limit = 2000000
smtpd_tls_security_level = may
smtpd_tls_cert_file = ${RELAY_FILES.cert}
smtpd_tls_key_file = ${RELAY_FILES.key}
local_recipient_maps =
alias_maps =
alias_database =
`;
}

function postfixMaster(port: number): string {
  return `127.0.0.1:${port} inet n - n - 20 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`;
}

/** Exim in a root directory of its own; what it takes stays in its queue. */
export async function startExim(): Promise<RealPeer> {
  const exim = program('exim4-daemon-light', '/usr/sbin/exim4');
  const port = await freePort();
  const home = scratch();
  makeRoot(home, '/usr/sbin/exim4', exim);
  mkdirSync(join(home, 'var/spool/exim4'), { recursive: true });
  execFileSync('chown', ['901:901', join(home, 'var/spool/exim4')]);
  copyFileSync(RELAY_FILES.cert, join(home, 'etc/relay.pem'));
  copyFileSync(RELAY_FILES.key, join(home, 'etc/relay.key'));
  execFileSync('chown', ['901:901', join(home, 'etc/relay.key')]);
  writeFileSync(
    join(home, 'etc/exim.conf'),
    `primary_hostname = exim.example
exim_path = /usr/sbin/exim4
spool_directory = /var/spool/exim4
log_file_path = /var/spool/exim4/%slog
log_selector = +received_recipients
daemon_smtp_ports = ${port}
local_interfaces = 127.0.0.1
pid_file_path = /var/spool/exim4/pid
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
queue_only
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
smtp_accept_max_nonmail = 1000000
smtp_max_unknown_commands = 1000000
tls_advertise_hosts = *
tls_certificate = /etc/relay.pem
tls_privatekey = /etc/relay.key
acl_smtp_rcpt = recipient
acl_smtp_data = message
begin acl
recipient:
  deny message = no such user
       local_parts = ^reject.*
  defer message = greylisted
       local_parts = ^defer.*
  accept
message:
  deny message = spam
       condition = \${if match{$h_subject:}{spam}}
  accept
begin routers
everything:
  driver = accept
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
  user = nobody
`,
  );
  const child = spawn('chroot', [home, '/usr/sbin/exim4', '-C', '/etc/exim.conf', '-bdf'], {
    stdio: 'ignore',
  });
  return await ready(child, home, port, () =>
    addresses(join(home, 'var/spool/exim4/mainlog'), / <= .* for (\S+)$/),
  );
}

/** OpenSMTPD in a root directory of its own; what it takes it tries to relay to a port where no server listens. */
export async function startOpenSmtpd(): Promise<RealPeer> {
  const smtpd = program('opensmtpd', '/usr/sbin/smtpd');
  const port = await freePort();
  const home = scratch();
  makeRoot(home, '/usr/sbin/smtpd', smtpd);
  for (const directory of ['var/spool/smtpd', 'var/empty', 'var/lib/opensmtpd/empty', 'var/run']) {
    mkdirSync(join(home, directory), { recursive: true, mode: 0o711 });
  }
  writeFileSync(
    join(home, 'etc/smtpd.conf'),
    `filter "reject" phase rcpt-to match rcpt-to regex { "^reject" } reject "550 5.1.1 no such user"
filter "defer" phase rcpt-to match rcpt-to regex { "^defer" } reject "450 4.2.0 greylisted"
filter "both" chain { "reject", "defer" }
listen on 127.0.0.1 port ${port} hostname opensmtpd.example filter "both"
action "away" relay host "smtp://127.0.0.1:1"
match from any for any action "away"
`,
  );
  const log = join(home, 'log');
  writeFileSync(log, '');
  const child = spawn('sh', [
    '-c',
    `exec chroot "${home}" /usr/sbin/smtpd -d -f /etc/smtpd.conf >"${log}" 2>&1`,
  ]);
  return await ready(child, home, port, () => addresses(log, /smtp envelope .* to=<([^>]*)>/));
}

/** Postfix's load-test receiver: takes everything, offers PIPELINING. */
export async function startSmtpSink(): Promise<RealPeer> {
  const sink = program('postfix', '/usr/sbin/smtp-sink');
  const port = await freePort();
  const home = scratch();
  // Root has to say whom to become.
  execFileSync('chown', ['postfix', home]);
  const child = spawn(sink, ['-u', 'postfix', '-d', 'mail.', `127.0.0.1:${port}`, '100'], {
    cwd: home,
    stdio: 'ignore',
  });
  return await ready(child, home, port, () => {
    const files = readdirSync(home).map((file) => readFileSync(join(home, file), 'latin1'));
    return files.flatMap((file) => /^X-Rcpt-Args: <([^>]*)>/m.exec(file)?.[1] ?? []);
  });
}

/** A directory that can be a process's root: the program, its libraries, and the few files every program asks for. */
function makeRoot(home: string, path: string, file: string): void {
  for (const directory of ['etc', 'tmp', 'dev', 'run', 'bin', 'var/spool'])
    mkdirSync(join(home, directory), { recursive: true });
  execFileSync('chmod', ['1777', join(home, 'tmp')]);
  execFileSync('mknod', ['-m', '666', join(home, 'dev/null'), 'c', '1', '3']);
  execFileSync('mknod', ['-m', '666', join(home, 'dev/urandom'), 'c', '1', '9']);
  const libraries = [file, '/bin/sh'].flatMap(
    (one) => execFileSync('ldd', [one], { encoding: 'utf8' }).match(/\/\S+/g) ?? [],
  );
  for (const [to, from] of [
    [path, file],
    ['/bin/sh', '/bin/sh'],
    ...libraries.map((one) => [one, one]),
  ] as const) {
    if (to === undefined || from === undefined) continue;
    mkdirSync(join(home, dirname(to)), { recursive: true });
    copyFileSync(realpathSync(from), join(home, to));
  }
  const users = ['root:0', 'mail:8', 'nobody:65534', 'Debian-exim:901', 'opensmtpd:902', 'opensmtpq:903'];
  const line = (user: string): string => user.replace(':', ':x:');
  writeFileSync(
    join(home, 'etc/passwd'),
    users.map((user) => `${line(user)}:${user.split(':')[1]}::/:/bin/sh\n`).join(''),
  );
  writeFileSync(
    join(home, 'etc/group'),
    `${users.map((user) => `${line(user)}:\n`).join('')}nogroup:x:65534:\n`,
  );
  writeFileSync(join(home, 'etc/hosts'), '127.0.0.1 localhost\n');
  writeFileSync(join(home, 'etc/mailname'), 'peer.example\n');
}

function scratch(): string {
  const home = mkdtempSync(join(tmpdir(), 'sendstate-peer-'));
  // The servers drop root and still have to get in.
  execFileSync('chmod', ['755', home]);
  return home;
}

/** What the first group of `pattern` finds in each line of a log. */
function addresses(log: string, pattern: RegExp): string[] {
  if (!existsSync(log)) return [];
  return readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line) => pattern.exec(line)?.[1] ?? []);
}

async function ready(
  child: ChildProcess,
  home: string,
  port: number,
  read: () => string[],
): Promise<RealPeer> {
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const peer: RealPeer = {
    port,
    taken: async (count) => {
      await until(`${count} mails in the records`, async () => read().length >= count);
      const counts = new Map<string, number>();
      for (const address of read()) counts.set(address, (counts.get(address) ?? 0) + 1);
      return counts;
    },
    close: async () => {
      child.kill('SIGTERM');
      await exited;
      // Children that were in the middle of something may still be writing.
      rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
  try {
    await until(`the server on port ${port}`, async () => {
      if (child.exitCode !== null)
        throw new Error(`the server ended with ${child.exitCode} instead of starting`);
      return await listens(port);
    });
  } catch (error) {
    await peer.close();
    throw error;
  }
  return peer;
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * A free port below the range from which the system gives ports to all others (32768 and up on Linux), because it
 * has to stay free until the server has started.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise<void>((resolve) => server.close(() => resolve()));
    return port;
  }
}
