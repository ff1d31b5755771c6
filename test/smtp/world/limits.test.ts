import { describe, expect, test } from 'vitest';
import { cleanUpSmtp, clientFor, scripted } from '../../support/smtp-client.ts';
import { brief, deliverAll, mailTo } from '../../support/smtp-mail.ts';
import { agree, greet, obey } from '../../support/smtp-script.ts';

cleanUpSmtp();

const mails = Array.from({ length: 300 }, (_, i) => mailTo(`user${i}@x.example`));

describe.each([
  ['MAIL', '451 Mails per session limit exceeded'],
  ['RCPT', '451 4.3.0 Mails per session limit exceeded'],
  ['DATA', '452 4.4.5 Maximum number of messages per session'],
] as const)('a limit of five mails on a connection, said at %s', (verb, refusal) => {
  test.each(['serial', 'grouped'] as const)(
    '%s: every mail is sent over as many connections as it takes',
    async (mode) => {
      const relay = await scripted(async (peer) => {
        if (!(await greet(peer, 'PIPELINING'))) return;
        let taken = 0;
        await obey(peer, (command) => {
          if (command.startsWith(verb) && taken >= 5) return refusal;
          if (verb !== 'DATA' && command === 'DATA' && taken >= 5) return '554 5.5.1 no valid recipients';
          if (command.startsWith('\0')) taken++;
          return agree(command);
        });
      });
      const deliveries = await deliverAll(clientFor(`${relay.url}?mode=${mode}&connections=4`), mails);
      expect(new Set(deliveries.map(brief))).toEqual(new Set(['sent']));
      expect(relay.peers.length).toBeGreaterThanOrEqual(60);
      expect(relay.peers.length).toBeLessThan(90);
    },
  );
});

describe.each(['MAIL', 'RCPT', 'DATA'] as const)('a limit of connections at once, said at %s', (verb) => {
  test('every mail is sent over fewer connections', async () => {
    let open = 0;
    const relay = await scripted(async (peer) => {
      open++;
      try {
        if (!(await greet(peer, 'PIPELINING'))) return;
        let refused = false;
        await obey(peer, (command) => {
          if (command.startsWith('MAIL')) refused = false;
          if (refused && command === 'DATA') return '554 5.5.1 no valid recipients';
          if (command.startsWith(verb) && open > 3) {
            refused = true;
            return '432 4.3.2 Concurrent connections limit exceeded';
          }
          return agree(command);
        });
      } finally {
        open--;
        peer.fin();
      }
    });
    const deliveries = await deliverAll(clientFor(`${relay.url}?connections=10`), mails);
    expect(new Set(deliveries.map(brief))).toEqual(new Set(['sent']));
    expect(relay.peers.length).toBeLessThanOrEqual(20);
  });
});
