import { expect, test } from 'vitest';
import { openRelays, type RelayChoice } from '../../src/api/relays.ts';
import type { SendstateError } from '../../src/errors.ts';
import type { Deliverer } from '../../src/smtp/deliverer.ts';
import { parseRelays } from '../../src/smtp/relay.ts';

class Postman implements Deliverer {
  readonly capacity = 3;
  closed = false;
  aborted = false;
  deliver(): void {}
  async close(): Promise<void> {
    this.closed = true;
  }
  abort(): void {
    this.aborted = true;
  }
}

const opened = (...relay: RelayChoice[]) =>
  openRelays({ relay }).relays.map(({ label, weight, rate }) => [label, weight, rate]);

test('a relay, a deliverer, a deliverer with a name: one of them, or several in any order', () => {
  const postman = new Postman();
  const [url] = parseRelays('smtp://127.0.0.1:2525?weight=3&rate=5/s');
  expect(openRelays({ relay: postman })).toMatchObject({ capacity: 3, relays: [{ label: 'relay-1' }] });
  expect(openRelays({ relay: url })).toMatchObject({ capacity: 20, relays: [{ label: '127.0.0.1:2525' }] });
  expect(opened(url, postman, { deliverer: postman, label: 'spare', weight: 0, rate: 2 })).toEqual([
    ['127.0.0.1:2525', 3, 5],
    ['relay-2', 1, null],
    ['spare', 0, 2],
  ]);
});

test('what was handed in is aborted with the others, and closed by its maker', async () => {
  const postman = new Postman();
  const relays = openRelays({ relay: [postman, ...parseRelays('smtp://127.0.0.1:2525')] });
  relays.abort();
  await relays.close();
  expect(postman).toMatchObject({ aborted: true, closed: false });
});

test.each<[string, RelayChoice[]]>([
  ['none', []],
  ['two of one name', [...parseRelays('smtp://one.example'), ...parseRelays('smtp://one.example')]],
  ['a weight below zero', [{ deliverer: new Postman(), label: 'x', weight: -1 }]],
  ['a rate of nothing', [{ deliverer: new Postman(), label: 'x', rate: 0 }]],
])('refused: %s', (_, relay) => {
  let code: string | undefined;
  try {
    openRelays({ relay });
  } catch (error) {
    code = (error as SendstateError).code;
  }
  expect(code).toBe(relay.length === 0 ? 'relay-missing' : 'RELAY_URL');
});
