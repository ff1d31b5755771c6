import { Gauge, type Registry } from 'prom-client';
import type { Database } from '../database/connect.ts';
import { CAMPAIGN_STATUSES, COUNTED } from '../model/states.ts';
import { RELAY_STATES } from '../relays/gate.ts';
import { OTHER } from '../worker/meter.ts';
import { processRegistry } from './process.ts';
import { type Numbers, readNumbers } from './reading.ts';

/** How long an answer of the database is good, milliseconds: ten scrapers cost it what one costs. */
const GOOD_MS = 1_000;

/** Says the same to every caller that asks at the same time or shortly after; null: the database does not answer. */
function cached(ask: () => Promise<Numbers>): () => Promise<Numbers | null> {
  let answer: Promise<Numbers | null> | undefined;
  let until = 0;
  return () => {
    if (answer === undefined || performance.now() > until) {
      until = Number.POSITIVE_INFINITY;
      answer = ask()
        // Not answering is what one of the metrics tells.
        .catch(() => null)
        .finally(() => {
          until = performance.now() + GOOD_MS;
        });
    }
    return answer;
  };
}

type Tell = (labels: Readonly<Record<string, string>>, value: number) => void;

interface Told {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  tell(numbers: Numbers, set: Tell): void;
}

/** What is told while the database answers. */
const TOLD: readonly Told[] = [
  {
    name: 'sendstate_recipients',
    help: 'Recipients by where they are; the sum is all recipients.',
    labelNames: ['campaign', 'state'],
    tell: ({ campaigns, other }, set) => {
      for (const { name: campaign, counts } of [...campaigns, { name: OTHER, counts: other }]) {
        for (const state of COUNTED) set({ campaign, state }, counts[state]);
      }
    },
  },
  {
    name: 'sendstate_campaign_status',
    help: '1 for the status that the campaign has, 0 for the others.',
    labelNames: ['campaign', 'status'],
    tell: ({ campaigns }, set) => {
      for (const { name: campaign, status: its } of campaigns) {
        for (const status of CAMPAIGN_STATUSES) set({ campaign, status }, status === its ? 1 : 0);
      }
    },
  },
  {
    name: 'sendstate_oldest_waiting_seconds',
    help: 'How long the oldest recipient that could be sent to now has been waiting, in a campaign that runs.',
    labelNames: ['campaign'],
    tell: ({ campaigns }, set) => {
      for (const { name: campaign, status, oldestSeconds } of campaigns) {
        if (status === 'running') set({ campaign }, oldestSeconds);
      }
    },
  },
  {
    name: 'sendstate_queue_depth',
    help: 'Recipients that wait in campaigns that run.',
    labelNames: [],
    tell: ({ queued }, set) => set({}, queued),
  },
  {
    name: 'sendstate_workers',
    help: 'Workers that have not stopped.',
    labelNames: ['state'],
    tell: ({ workers }, set) => {
      for (const [state, n] of Object.entries(workers)) set({ state }, n);
    },
  },
  {
    name: 'sendstate_relay_workers',
    help: 'Workers alive that see the relay in that state.',
    labelNames: ['relay', 'state'],
    tell: ({ relays }, set) => {
      for (const relay of new Set(relays.map(({ label }) => label))) {
        for (const state of RELAY_STATES) set({ relay, state }, 0);
      }
      for (const { label: relay, state, workers } of relays) set({ relay, state }, workers);
    },
  },
];

/** What `serve` tells: where all campaigns stand, by the database's counters. While it is away only `sendstate_database_up` is told of it. */
export function databaseRegistry(database: Database): Registry {
  const registry = processRegistry(database);
  const registers = [registry];
  const read = cached(() => readNumbers(database));
  new Gauge({
    name: 'sendstate_database_up',
    help: '1: the database answers; 0: it does not, and nothing is told of campaigns.',
    registers,
    async collect() {
      this.set((await read()) === null ? 0 : 1);
    },
  });
  for (const { tell, ...told } of TOLD) {
    new Gauge({
      ...told,
      registers,
      async collect() {
        const numbers = await read();
        this.reset();
        // Added, not set: a campaign may be called like the rest.
        if (numbers !== null) tell(numbers, (labels, value) => this.inc(labels, value));
        // Without labels a reset leaves a zero, which would be told as if it were known.
        else if (told.labelNames.length === 0) this.remove();
      },
    });
  }
  return registry;
}
