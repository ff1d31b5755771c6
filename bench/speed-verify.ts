import { startCapture } from '../src/capture/capture.ts';
import { wrongIn } from './speed-people.ts';

/*
 * The sink of the verification rounds, a process of its own: the bundled capture server, which counts by recipient and
 * by Message-ID, and reads every mail. Told anything, it answers with what it saw.
 */

/** What arrived. */
export interface Seen {
  readonly accepted: number;
  /** How many different recipients and Message-IDs. */
  readonly recipients: number;
  readonly messageIds: number;
  /** Mails beyond the first to a recipient. */
  readonly twice: number;
  /** Mails that do not say what they should, and the first one's fault. */
  readonly wrong: number;
  readonly why: string | null;
}

let wrong = 0;
let why: string | null = null;
const server = await startCapture({
  onMail: ({ to, raw }) => {
    const fault = to.length === 1 ? wrongIn(raw, to[0] ?? '') : `a mail to ${to.length} recipients`;
    if (fault === null) return;
    wrong++;
    why ??= fault;
  },
});
process.on('message', () => {
  const { accepted, recipients, messageIds } = server;
  const twice = [...recipients.values()].reduce((sum, times) => sum + times - 1, 0);
  const seen: Seen = {
    accepted,
    recipients: recipients.size,
    messageIds: messageIds.size,
    twice,
    wrong,
    why,
  };
  process.send?.(seen);
});
process.on('disconnect', () => process.exit());
process.send?.({ port: server.port });
