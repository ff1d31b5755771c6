import type { Target } from '../target.ts';
import { addresses } from './addresses.ts';
import { commands, lasting } from './commands.ts';
import { csv } from './csv.ts';
import { dots, messages } from './messages.ts';
import { relay } from './relay.ts';
import { replies } from './replies.ts';
import { sql } from './sql.ts';
import { templates } from './templates.ts';
import { urls } from './urls.ts';

/** Everything that comes from outside. */
export const TARGETS: readonly Target[] = [
  csv,
  addresses,
  messages,
  dots,
  templates,
  replies,
  relay,
  urls,
  commands,
  lasting,
  sql,
];
