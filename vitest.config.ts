import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import { BARE, isInstalled } from './bench/installed.ts';
import { chromiumPath } from './test/support/chromium.ts';

/*
 * Postfix, Exim and OpenSMTPD are installed by test/support/install-peers.sh and need root to run. Where that was done,
 * and wherever CI is set, their tests belong to the run, and a server that is missing fails it. Elsewhere they are left
 * out, and the run says so.
 */
const withPeers =
  !BARE &&
  (process.env.CI !== undefined || (process.getuid?.() === 0 && isInstalled('/var/cache/sendstate-peers')));

if (!withPeers) {
  process.stderr.write(
    'Without the tests against Postfix, Exim and OpenSMTPD: see test/support/install-peers.sh\n',
  );
}

/*
 * The web page is tried in Debian's Chromium. Where that is not installed its tests are left out, and the run says so; with CI
 * set they belong to the run, and a missing browser fails it.
 */
const withBrowser = !BARE && (process.env.CI !== undefined || chromiumPath() !== undefined);

if (!withBrowser) {
  process.stderr.write('Without the tests in a browser: there is no chromium on the PATH.\n');
}

/*
 * What each broker does when it is killed, and clusters of three nodes on one machine: minutes on two cores. They belong to the
 * run where TEST_BROKERS asks for them; the contract of every design, with its broker killed (test/bench/contract-*.test.ts), belongs
 * to every run.
 */
const withBrokers = process.env.TEST_BROKERS !== undefined;

/** Files that take a minute or more. They begin first, or the last of them would run alone while the other places are empty. */
const LONG = [
  /bench\/contract-/,
  /crash\/torture/,
  /faults\/(old-workers|message)/,
  /cli\/campaign/,
  /database\/embedded\.test/,
  /web\/browser/,
  /model\//,
];

class LongestFirst extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer['sort']>[0]) {
    const rank = ({ moduleId }: (typeof files)[number]) => {
      const at = LONG.findIndex((pattern) => pattern.test(moduleId));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    include: ['test/**/*.test.ts'],
    exclude: [
      ...(withPeers ? [] : ['test/smtp/real-peers.test.ts']),
      ...(withBrokers ? [] : ['test/bench/{cluster,kafka,rabbitmq,bullmq,memcached}.test.ts']),
      ...(withBrowser ? [] : ['test/web/browser/**']),
    ],
    globalSetup: ['test/support/global-setup.ts'],
    // Most take a second; processes are started in many, and machines may be busy with other things.
    testTimeout: 60_000,
    hookTimeout: 90_000,
    // What is waited for comes in milliseconds, or on a busy machine in seconds; the default of one says nothing.
    expect: { poll: { timeout: 15_000 } },
    // Most files wait more than they work: for leases, for servers, for a poll. More at once makes those that take times flaky.
    maxWorkers: 4,
  },
});
