import { installedVersion } from '../brokers/rabbitmq.ts';
import { amqpDesign } from './amqp.ts';

/** From 4.0 on a classic queue confirms what it has written and not what it has synced. */
const FIRST_WITHOUT_FSYNC = 4;

/**
 * The same with classic queues, which most installations and tutorials still use. They are one copy on one node, have
 * no delivery limit, and dead-letter at most once.
 */
export const rabbitmqClassic = amqpDesign('classic', {
  name: 'rabbitmq-classic',
  // Asked when it is used: this file is also loaded on machines without RabbitMQ.
  tiers: () => [Number.parseInt(installedVersion(), 10) < FIRST_WITHOUT_FSYNC ? 'A' : 'B'],
  guarantees:
    'RabbitMQ 3.10 confirms a persistent message of a classic queue after an fsync, one for many messages, on the one node ' +
    'that has it. A killed worker or broker loses no person, except that a message on its way from a delay queue back to the ' +
    'work queue is in neither and can be lost with the broker. What was sent and not yet acknowledged is delivered again; ' +
    'after a killed broker also what was acknowledged, as far as it had not been written down: nothing bounds that.',
  cannotTell:
    'The same as the quorum queue: who was sent, how many are in flight, whether it is finished; no person can be taken ' +
    'out and nothing paused. A message that kills every worker comes back for ever: there is no delivery limit.',
});
