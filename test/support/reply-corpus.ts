import { readdirSync, readFileSync } from 'node:fs';
import type { ReplyStage, ReplyVerdict } from '../../src/smtp/reply-pattern.ts';

/** An entry of test/smtp/replies/, as its README.md describes it. */
export interface CorpusReply {
  readonly id: string;
  readonly provider: string;
  readonly stage: ReplyStage;
  readonly reply: string;
  readonly verdict: ReplyVerdict;
  readonly source: string;
  readonly language?: string;
  readonly note?: string;
}

const FOLDER = new URL('../smtp/replies/', import.meta.url);

/** Every reply of the corpus. */
export function readReplyCorpus(): CorpusReply[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .flatMap((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as CorpusReply[]);
}

/** The replies of similar.txt, which no entry of the corpus holds. */
export function readSimilarReplies(): Pick<CorpusReply, 'stage' | 'verdict' | 'reply'>[] {
  return readFileSync(new URL('similar.txt', FOLDER), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [stage, verdict] = line.split(' ', 2) as [ReplyStage, ReplyVerdict];
      return { stage, verdict, reply: line.slice(stage.length + verdict.length + 2) };
    });
}
