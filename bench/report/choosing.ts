import type { Raw } from '../raw.ts';
import { CLAIMED } from './answer.ts';
import type { Row } from './rows.ts';
import { orDash, rounded, table } from './words.ts';

const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';

/** Replaces the measured part of docs/choosing.md. @throws when its markers are gone */
export function withMeasured(text: string, raw: Raw, rows: readonly Row[]): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`docs/choosing.md has no ${BEGIN} … ${END}`);
  return `${text.slice(0, from)}${BEGIN}\n${measured(raw, rows)}\n${text.slice(to)}`;
}

function measured(raw: Raw, rows: readonly Row[]): string {
  const of = (key: string) => rows.find((row) => row.key === key);
  const rate = (key: string) => {
    const row = of(key);
    return row === undefined ? '–' : `${orDash(row.publish?.median)} in, ${orDash(row.consume?.median)} out`;
  };
  const own = of('postgres');
  const written = own?.deviceBytes?.median;
  const dead =
    raw.table === null ? '–' : `${rounded(raw.table.deadShare * 100)}% dead row versions before vacuum`;
  const quick = raw.settings.profile === 'quick' ? ['From a quick run, whose figures mean nothing.', ''] : [];
  return [
    ...quick,
    table(
      ['the note', 'measured, surviving loss of power', 'measured, surviving a killed process only'],
      [
        [
          `RabbitMQ does ${CLAIMED.rabbitmq.toLocaleString('en-US')}/s`,
          `quorum queue: ${rate('rabbitmq')}; classic: ${rate('rabbitmq-classic')}`,
          '–',
        ],
        [
          `Kafka does ${CLAIMED.kafka.toLocaleString('en-US')}/s`,
          `flushed for each batch: ${rate('kafka')}`,
          `as delivered: ${rate('kafka@B')}`,
        ],
        ['a table is slow', `${rate('postgres')}; the textbook table: ${rate('postgres-textbook')}`, '–'],
        [
          'a table wastes disk and updates',
          `${written === undefined ? '–' : rounded(written)} bytes written a mail, ${dead}; RabbitMQ ${orDash(of('rabbitmq')?.deviceBytes?.median)}, Kafka ${orDash(of('kafka')?.deviceBytes?.median)} bytes`,
          `Kafka ${orDash(of('kafka@B')?.deviceBytes?.median)} bytes`,
        ],
        [
          'queues are harder to run',
          `memory of the broker: Postgres ${orDash(own?.memoryMb.broker)} MB, RabbitMQ ${orDash(of('rabbitmq')?.memoryMb.broker)} MB, Kafka ${orDash(of('kafka')?.memoryMb.broker)} MB`,
          '–',
        ],
      ],
    ),
    '',
    'In and out are messages a second.',
    `The whole campaign, mails a second: ${['postgres', 'rabbitmq', 'kafka'].map((key) => `${key} ${orDash(of(key)?.mails?.median)}`).join(', ')}.`,
  ].join('\n');
}
