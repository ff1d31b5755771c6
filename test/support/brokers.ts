import { missing } from '../../bench/brokers/index.ts';
import type { BrokerName } from '../../bench/contract.ts';
import { BARE } from '../../bench/installed.ts';

/**
 * Whether the tests of this broker are left out because it is not installed; says so, once for each file. With CI set
 * nothing is left out: the tests then fail over what is missing.
 */
export function without(name: BrokerName): boolean {
  const how = missing(name);
  if (how === null || (process.env.CI && !BARE)) return false;
  process.stderr.write(`${name} is not on this machine, its tests are left out. ${how}\n`);
  return true;
}
