import type { Raw } from '../raw.ts';
import { FEW } from '../statistics.ts';
import type { Row } from './rows.ts';
import { listed, oneLine, rounded } from './words.ts';

/** What a reader has to know before a figure means anything. */
export function caveats(raw: Raw, rows: readonly Row[]): string {
  const { machine, sinkPerSecond } = raw;
  return [
    'What to keep in mind:',
    '',
    `- Everything ran on one machine with ${machine.cores} cores: client, broker and sink share them, so a design that needs less CPU is faster. Brokers on machines of their own would look better, and so would every other design.`,
    `- The sink takes ${rounded(sinkPerSecond)} mails a second when nothing else has to be done; no design can be faster than that here.`,
    `- ${roundsOf(rows)} Distance, crashes, questions, failures and growth are one run each.`,
    ...smaller(raw, rows),
    '- Only the broker that is measured runs. The others are frozen (SIGSTOP), not ended, so that each is as warm as a server that has been up for a while; after that each is asked until it answers. A broker that was killed is replaced by a new one.',
    '- Designs of different durability are never compared: A survives loss of power, B a killed process, C nothing.',
    '- One broker each: no replication in any rate. Replicated queues cost more and survive more; so does a replicated Postgres.',
    '- Postgres runs with the settings of the embedded server, which are below and which spare it checkpoints; one checkpoint is made before the clock of a campaign starts, and one before what was written is read.',
    ...rabbitmqAge(raw),
    '- All use the same SMTP client and the same compiled message, but for `loop`, `loop-fast` and `postgres-textbook`, which are what people write first, with nodemailer.',
    '- Kafka’s producer has one request for each of its eight partitions under way and waits for all of them before the next batch: with one that failed, later ones would have to be undone to stay in order.',
  ].join('\n');
}

function roundsOf(rows: readonly Row[]): string {
  const counts = [
    rows.flatMap(({ mails }) => mails?.rounds ?? []),
    rows.flatMap(({ both }) => both?.rounds ?? []),
  ];
  const [campaign, queue] = counts.map((some) =>
    some.length === 0
      ? 'no round'
      : Math.min(...some) === Math.max(...some)
        ? `${some[0]} ${some[0] === 1 ? 'round' : 'rounds'}`
        : `${Math.min(...some)} to ${Math.max(...some)} rounds`,
  );
  const few = counts.flat().some((count) => count < FEW)
    ? `; with fewer than ${FEW} rounds it is their range`
    : '';
  return `The rates are medians in random order after a discarded warm-up: of the campaign ${campaign}, of the queue alone ${queue}. Every design has up to three rounds; after them those of the best tier that are not slow go on for as long as there is time. In brackets is the 95% bootstrap interval${few}.`;
}

/** The designs that would have needed too long for all people, by a first run; what a process needs to begin weighs more in a small campaign. */
function smaller({ settings }: Raw, rows: readonly Row[]): string[] {
  const fewer = rows.filter(({ people }) => people !== null && people < settings.recipients);
  if (fewer.length === 0) return [];
  const who = listed(fewer.map(({ key, people }) => `${key} (${(people ?? 0).toLocaleString('en-US')})`));
  return [
    `- Not with ${settings.recipients.toLocaleString('en-US')} people, because their first run was slow: ${who}. What it takes to begin weighs more in a small campaign, so a design that is quick once it runs would have a better rate with all people.`,
  ];
}

/** What Debian has is not what RabbitMQ has. */
function rabbitmqAge({ brokers }: Raw): string[] {
  const version = brokers.find(({ name }) => name === 'rabbitmq')?.version;
  if (version === undefined || !version.startsWith('3.')) return [];
  return [
    `- RabbitMQ is ${version}, as Debian delivers it: a series of 2022. Its quorum queues have been made faster since; RabbitMQ 4 may do better than here.`,
  ];
}

export function faultsText({ faults }: Raw): string {
  if (faults.length === 0) return '';
  return `What went wrong in this run:\n\n${faults.map((fault) => `- ${oneLine(fault)}`).join('\n')}`;
}

/** Everything that was not measured, by reason. */
export function leftOutText({ leftOut }: Raw): string {
  if (leftOut.length === 0) return 'Nothing.';
  const groups = Map.groupBy(leftOut, ({ why }) => oneLine(why));
  return [...groups].map(([why, some]) => `- ${listed(some.map(({ design }) => design))}: ${why}`).join('\n');
}
