import type { ClusterResult } from '../cluster.ts';
import { table } from './words.ts';

/** Beside the raw figures, written by `npm run bench:cluster -- --report`. */
export const CLUSTERS_FILE = 'clusters.json';

/** What became of a campaign on three nodes whose leader was killed. */
export interface Clusters {
  readonly at: string;
  readonly recipients: number;
  readonly results: Readonly<Record<string, ClusterResult>>;
}

export function clustersText(clusters: Clusters | null): string {
  const results = Object.entries(clusters?.results ?? {});
  if (clusters === null || results.length === 0)
    return 'Not measured yet: `npm run bench:cluster -- --report`, then `npm run bench:report`.';
  return [
    `Three nodes on one machine, which says something about what is lost and nothing about speed: ${clusters.recipients.toLocaleString('en-US')} people, the leader killed when a third of them was handed out and half was published. ${clusters.at.slice(0, 10)}, \`npm run bench:cluster -- --report\`.`,
    table(
      ['', 'version', 'handed out', 'lost', 'twice', 'killed'],
      results.map(([name, { version, sent, lost, duplicated, killed }]) => [
        name,
        version,
        String(sent),
        String(lost),
        String(duplicated),
        killed,
      ]),
    ),
  ].join('\n\n');
}
