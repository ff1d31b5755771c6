import type { Raw } from '../raw.ts';
import { oneLine, table } from './words.ts';

/** When, where and with which versions. */
export function measuredOn({ machine, brokers, at, minutes, settings }: Raw): string {
  return [
    `${at.slice(0, 10)}, ${minutes} minutes, ${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, ${machine.system}, Node ${machine.node}, seed ${settings.seed}. The raw figures are in [queues.json](queues.json); \`npm run bench -- --profile full --report\` measures again and writes this page, \`npm run bench:report\` writes it from the raw figures.`,
    '',
    table(
      ['broker', 'version', 'tier', 'configuration'],
      brokers.map(({ name, version, tier, configuration }) => [
        name,
        version,
        tier,
        Object.entries(configuration)
          .map(([key, value]) => `\`${key}\` ${oneLine(value)}`)
          .join(', '),
      ]),
    ),
    '',
    `Clients: ${Object.entries(machine.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
  ].join('\n');
}
