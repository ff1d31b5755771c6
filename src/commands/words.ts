import type { SendEvent } from '../model/events.ts';
import { count, counted, perSecond } from '../report/format.ts';

function relayWords({ label, several }: { readonly label: string; readonly several: boolean }): string {
  return several ? `The relay ${label}` : 'The relay';
}

/** What happened, in words; null for what needs none. */
export function wordsOf(event: SendEvent): string | null {
  switch (event.kind) {
    case 'refused':
      return `${event.name} is paused: ${event.reason}`;
    case 'relay': {
      const { state, reason } = event.breaker;
      const relay = relayWords(event);
      if (event.misconfigured !== null)
        return `${relay} refuses us: ${event.misconfigured}. No recipient fails for it; correct SMTP_URL.`;
      if (state === 'open')
        return `${relay} is in trouble: ${reason ?? 'no reason given'}. ${event.several ? 'Others take over' : 'Waiting'}; no recipient is charged an attempt.`;
      return state === 'closed' ? `${relay} works again.` : null;
    }
    case 'relay-slowed': {
      const relay = relayWords(event);
      if (event.perSecond === null) return `${relay} takes mails at full speed again.`;
      return `${relay} asks for less: ${event.words}. Slowing down to ${perSecond(event.perSecond)}, more again while it is content.`;
    }
    case 'rescued': {
      const { workers, recipients, ambiguous } = event.rescue;
      return `Took over ${counted(recipients, 'recipient')} from ${counted(workers, 'worker')} that died; ${count(ambiguous)} of them may have been sent.`;
    }
    case 'presumed-dead':
      return 'This worker was silent for too long; others took its claims. Going on with new ones.';
    case 'claims-lost':
      return `${event.name}: ${event.claimIds.length} claims were taken over by others.`;
    case 'database-lost':
      return `The database does not answer: ${event.why}. Results are kept and written when it is back.`;
    case 'database-back':
      return 'The database is back.';
    default:
      return null;
  }
}
