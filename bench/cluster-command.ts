import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { CLUSTERS, type ClusterResult, killTheLeader, missingCluster } from './cluster.ts';
import { CLUSTERS_FILE, type Clusters } from './report/clusters.ts';
import { HOME } from './report/write.ts';

/*
 * npm run bench:cluster -- [--recipients 2000] [--json] [--report]
 * --report writes docs/benchmarks/clusters.json, which `npm run bench:report` shows.
 * With --json the last line is {"rabbitmq":{"lost":0,"duplicated":n,…},"kafka":{…}}.
 */

const { values } = parseArgs({
  options: {
    recipients: { type: 'string', default: '2000' },
    json: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
  },
});
const recipients = Number(values.recipients);
if (!Number.isInteger(recipients) || recipients < 100) throw new Error('--recipients is a number from 100');

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const results: Record<string, ClusterResult> = {};
for (const name of CLUSTERS) {
  const how = missingCluster(name);
  if (how !== null) {
    say(`${name} is left out, it is not on this machine. ${how}`);
    process.exitCode = 1;
    continue;
  }
  say(`${name}: three nodes, ${recipients} recipients, the leader is killed in the middle`);
  const result = await killTheLeader(name, recipients);
  results[name] = result;
  say(
    `${name} ${result.version}: ${result.sent} sent, ${result.lost} lost, ${result.duplicated} sent again (${result.killed})`,
  );
  if (result.lost > 0) process.exitCode = 1;
}
if (values.report) {
  const clusters: Clusters = { at: new Date().toISOString(), recipients, results };
  await writeFile(path.join(HOME, CLUSTERS_FILE), `${JSON.stringify(clusters, null, 1)}\n`);
}
if (values.json) say(JSON.stringify(results));
// A client that still waits for a node that will not come back must not hold the result.
process.exit();
