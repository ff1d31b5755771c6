import type { CampaignStatus, Outcome } from '../model/states.ts';

/** The buttons of the page, by the verbs of the command line. */
export const VERBS = ['pause', 'resume', 'cancel', 'start', 'retry'] as const;
export type WebVerb = (typeof VERBS)[number];

/** What a button did: the status that the campaign has now, how many were cancelled, or who was put back to waiting. */
export interface Pressed {
  readonly status?: CampaignStatus;
  readonly cancelled?: number;
  readonly outcome?: Outcome;
  readonly recipients?: number;
}

export interface Trouble {
  readonly code: string;
  readonly message: string;
}

/** An event for the operator of the server. Never holds a token; `remote` is the other end of the connection. */
export type ServeEvent =
  | { readonly kind: 'started'; readonly url: string }
  | { readonly kind: 'stopped' }
  /** `seconds`: so long the address now has to wait; 0: it may try again. What it tries while it waits is no event. */
  | {
      readonly kind: 'login-failed';
      readonly by: 'form' | 'bearer';
      readonly remote: string;
      readonly seconds: number;
    }
  /** `refused`: why nothing, or not all of it, was done. */
  | {
      readonly kind: 'action';
      readonly verb: WebVerb;
      readonly campaign: string;
      readonly remote: string;
      readonly pressed: Pressed;
      readonly refused: Trouble | null;
    }
  /** The database was lost, and why; null: it is back. Seen only while a browser shows the page. */
  | { readonly kind: 'database'; readonly lost: Trouble | null }
  /** An unexpected error. The path is without its query, which may hold an address. */
  | {
      readonly kind: 'error';
      readonly method: string;
      readonly path: string;
      readonly remote: string;
      readonly code: string;
      readonly message: string;
    };

export interface ServeOptions {
  /** Default 8025; 0: any free one. */
  readonly port?: number | undefined;
  /** The address to listen at. Default 127.0.0.1; any that others can reach needs a token. */
  readonly host?: string | undefined;
  /** A browser that gives it may look and press buttons. At least 16 characters. */
  readonly token?: string | undefined;
  /** Nothing can be changed. Default false. */
  readonly readOnly?: boolean | undefined;
  /** Addresses are shown as k…@example.com, and mails not at all. Default false. */
  readonly mask?: boolean | undefined;
  /** Told of what is worth a line in a log. */
  readonly onEvent?: ((event: ServeEvent) => void) | undefined;
}

export interface Served {
  /** http://127.0.0.1:8025 */
  readonly url: string;
  /** Ends the streams of all viewers and stops. */
  close(): Promise<void>;
}
