import { Counter, Gauge, type Registry } from 'prom-client';
import type { Database } from '../database/connect.ts';
import { RELAY_STATES } from '../relays/gate.ts';
import type { MailEnd, Meter } from '../worker/meter.ts';
import { DurationHistogram } from './durations.ts';
import { processRegistry } from './process.ts';

/** Relays that are told of by name; SMTP_URL of more is no relay list. */
const RELAYS = 100;

/** What `work` and `send` tell: everything is read from the meter at a scrape. */
export function workerRegistry(database: Database, meter: Meter): Registry {
  const registry = processRegistry(database);
  const registers = [registry];
  new Counter({
    name: 'sendstate_mails_total',
    help: 'Mails of this process by what became of them; deferred: the recipient waits again.',
    labelNames: ['campaign', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const [campaign, counts] of meter.outcomeCounts) {
        for (const [outcome, mails] of Object.entries(counts) as [MailEnd, number][]) {
          this.inc({ campaign, outcome }, mails);
        }
      }
    },
  });
  new DurationHistogram(
    'sendstate_claim_duration_seconds',
    'Until a claim was made, the draws of rates included.',
    meter.claim,
    registry,
  );
  new DurationHistogram(
    'sendstate_compose_duration_seconds',
    'Until a message was made.',
    meter.compose,
    registry,
  );
  new DurationHistogram(
    'sendstate_deliver_duration_seconds',
    'From handing a mail over until the answer, the wait for a connection included.',
    meter.deliver,
    registry,
  );
  new DurationHistogram(
    'sendstate_record_duration_seconds',
    'Until a batch of results was written.',
    meter.record,
    registry,
  );
  new Gauge({
    name: 'sendstate_worker_ready',
    help: '1: what /readyz says is yes.',
    registers,
    collect() {
      this.set(meter.health.ready ? 1 : 0);
    },
  });
  relayMetrics(registers, meter);
  return registry;
}

function relayMetrics(registers: Registry[], meter: Meter): void {
  const gates = () => meter.gates.slice(0, RELAYS);
  const labelNames = ['relay'];
  new Gauge({
    name: 'sendstate_relay_state',
    help: '1 for the state that the relay is in as this process sees it, 0 for the others.',
    labelNames: ['relay', 'state'],
    registers,
    collect() {
      this.reset();
      for (const { label: relay, state } of gates()) {
        for (const one of RELAY_STATES) this.set({ relay, state: one }, one === state ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: 'sendstate_relay_in_flight',
    help: 'Mails of this process that the relay has and has not answered.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { label: relay, inFlight } of gates()) this.set({ relay }, inFlight);
    },
  });
  new Gauge({
    name: 'sendstate_relay_capacity',
    help: 'Mails that this process may have in flight at the relay.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { label: relay, capacity } of gates()) this.set({ relay }, capacity);
    },
  });
  new Gauge({
    name: 'sendstate_relay_connections',
    help: 'Connections of this process to the relay that are open; absent where nodemailer keeps them.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { label: relay, connections } of gates()) {
        if (connections !== undefined) this.set({ relay }, connections);
      }
    },
  });
}
