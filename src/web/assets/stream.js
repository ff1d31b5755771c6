/*
 * The live numbers: a state, then what changes of it, as server-sent events. When the connection or the database is lost the
 * page keeps what it has, says since when it is old, and goes on by itself.
 */
import { announce, find, problemOf, put, show, t } from './dom.js';
import { time } from './format.js';

/** Milliseconds without a sign of life (one comes every five seconds) until the connection counts as lost. */
const SILENCE_MS = 12_000;
/** Milliseconds until we try again where the browser does not by itself. */
const AGAIN_MS = 2_000;

/**
 * Follows the list (id undefined) or one campaign.
 * @param render called with all pieces whenever some have changed, at most once a frame
 */
export function follow(id, render) {
  const url = id === undefined ? '/api/events' : `/api/events?id=${id}`;
  let source = null;
  let cells = {};
  let frame = 0;
  let heard = Date.now();
  let cutOffSince = null;
  let lost = null;

  const draw = () => {
    if (frame !== 0) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      render(cells);
    });
  };
  const alive = () => {
    heard = Date.now();
    if (cutOffSince === null) return;
    cutOffSince = null;
    banner();
  };
  const banner = () => {
    const element = find('banner');
    const was = !element.hidden;
    if (cutOffSince !== null) put(element, t('cutOff', { time: time(cutOffSince) }));
    else if (lost !== null) put(element, `${t('lost', { time: time(lost.since) })} ${problemOf(lost)}`);
    const is = cutOffSince !== null || lost !== null;
    show(element, is);
    document.body.classList.toggle('stale', is);
    if (was && !is) announce(t('back'));
  };
  const cutOff = () => {
    cutOffSince ??= heard;
    banner();
  };
  const on = (event, take) =>
    source.addEventListener(event, ({ data }) => {
      alive();
      take(JSON.parse(data));
    });

  const open = () => {
    if (source !== null) return;
    source = new EventSource(url);
    heard = Date.now();
    on('state', (all) => {
      cells = all;
      draw();
    });
    on('change', (some) => {
      cells = { ...cells, ...some };
      draw();
    });
    on('database', (now) => {
      lost = now;
      banner();
    });
    on('beat', () => undefined);
    source.addEventListener('error', () => {
      // A new stream says so again if it still is.
      lost = null;
      cutOff();
      if (source?.readyState === EventSource.CLOSED) again();
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const again = () => {
    close();
    setTimeout(async () => {
      if (document.hidden) return;
      // A login that has ended looks like any other error here; this asks and leads to the form.
      const signal = AbortSignal.timeout(SILENCE_MS);
      const answer = await fetch('/api/whoami', { signal }).catch(() => null);
      if (answer?.status === 401) location.reload();
      else open();
    }, AGAIN_MS);
  };

  setInterval(() => {
    if (source === null || Date.now() - heard < SILENCE_MS) return;
    cutOff();
    again();
  }, 1_000);
  // A page that is hidden costs nothing, and browsers allow six connections to a host.
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
}
