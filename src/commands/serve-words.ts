import { count } from '../report/format.ts';
import type { ServeEvent, Trouble } from '../web/events.ts';
import type { Line } from './log.ts';

type Action = Extract<ServeEvent, { kind: 'action' }>;

/** What happened at the page, as a line of the log. */
export function serveLine(event: ServeEvent): Line {
  const { kind } = event;
  switch (kind) {
    // Where the page is stands on stdout already, and who ends it knows.
    case 'started': {
      const { url } = event;
      return { level: 'info', event: kind, words: `Started at ${url}/`, fields: { url }, silent: true };
    }
    case 'stopped':
      return { level: 'info', event: kind, words: 'The page has ended.', fields: {}, silent: true };
    case 'login-failed': {
      const { by, remote, seconds } = event;
      const waits = seconds === 0 ? '' : ` It has to wait ${seconds} seconds.`;
      const words = `A wrong token from ${remote}.${waits}`;
      return { level: 'warn', event: kind, words, fields: { by, remote, seconds } };
    }
    case 'action':
      return actionLine(event);
    case 'database':
      return databaseLine(event.lost);
    case 'error': {
      const { method, path, remote, code, message: reason } = event;
      const words = `${method} ${path}: ${reason}`;
      return { level: 'error', event: kind, words, fields: { method, path, remote, code, reason } };
    }
  }
}

function databaseLine(lost: Trouble | null): Line {
  if (lost === null)
    return { level: 'info', event: 'database-back', words: 'The database is back.', fields: {} };
  const { code, message: reason } = lost;
  const words = `The page waits for the database: ${reason}`;
  return { level: 'warn', event: 'database-lost', words, fields: { code, reason } };
}

const DONE: Readonly<Record<Action['verb'], string>> = {
  pause: 'paused',
  resume: 'resumed',
  cancel: 'cancelled',
  start: 'started',
  retry: 'put back to waiting',
};

function actionLine({ verb, campaign, remote, pressed, refused }: Action): Line {
  const asked = { verb, campaign, remote };
  if (refused !== null) {
    const words = `${campaign}: ${verb} failed for ${remote}: ${refused.message}`;
    const fields = { ...asked, code: refused.code, reason: refused.message };
    return { level: 'warn', event: 'action', words, fields };
  }
  const { status: now, cancelled, outcome } = pressed;
  const recipients = pressed.recipients ?? cancelled;
  const whom = recipients === undefined ? '' : ` ${count(recipients)} recipients`;
  const of = outcome === undefined ? '' : ` of ${outcome}`;
  const words = `${campaign}: ${DONE[verb]}${whom}${of} by the page, from ${remote}`;
  return { level: 'info', event: 'action', words, fields: { ...asked, now, outcome, recipients } };
}
