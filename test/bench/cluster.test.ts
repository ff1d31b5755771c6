import { describe, expect, it } from 'vitest';
import { CLUSTERS, killTheLeader } from '../../bench/cluster.ts';
import { without } from '../support/brokers.ts';

/** Three nodes have to start, beside whatever else runs, and after the kill Kafka waits 9 s before it holds an election. */
const LIMIT_MS = 600_000;

describe.each(CLUSTERS)('three nodes of %s', (name) => {
  it.skipIf(without(name))(
    'lose no person when the leader is killed in the middle',
    async () => {
      const { sent, lost, duplicated } = await killTheLeader(name, 300);
      expect(lost).toBe(0);
      expect(sent).toBe(300);
      // What was in flight, and what had not been acknowledged or committed.
      expect(duplicated).toBeLessThan(200);
    },
    LIMIT_MS,
  );
});
