import { amqpDesign } from './amqp.ts';

/**
 * RabbitMQ as its documentation says to use it where data safety matters: durable quorum queues, persistent and
 * mandatory messages, publisher confirms in a window, manual acknowledgement after the relay's 250, a bounded prefetch,
 * a delivery limit, at-least-once dead-lettering, one delay queue for each wait.
 * Followed: the guides "Quorum Queues", "Consumer Acknowledgements and Publisher Confirms", "Reliability", "Consumer
 * Prefetch", "Dead Letter Exchanges" and "Time-to-Live" of rabbitmq.com.
 */
export const rabbitmq = amqpDesign('quorum', {
  name: 'rabbitmq',
  tiers: () => ['A'],
  guarantees:
    'A confirmed message is in the Raft log with an fsync, on a majority of the nodes where there are several. A killed ' +
    'worker or broker loses no person; what was sent and not yet acknowledged is delivered again: at most the prefetch of ' +
    'each killed worker gets a second mail. A publisher that is started again publishes every person again.',
  cannotTell:
    'Who was sent: an acknowledged message is gone, so sent = published − what is left, and it is unknown who. How many ' +
    'are in flight, without the management plugin. Whether the campaign is finished: the count of a queue leaves out ' +
    'what a worker holds, so workers that run out of work have to withdraw and look twice. One recipient cannot be ' +
    'taken out, and a queue cannot be paused: the workers are stopped.',
});
