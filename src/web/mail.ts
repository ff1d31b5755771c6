import { attachmentsOf } from '../campaigns/campaigns.ts';
import type { Database } from '../database/connect.ts';

/**
 * The html of a mail for a frame that may load nothing: pictures that the mail carries (cid:…) are written into it, others
 * stay away. What it says is not changed; scripts and requests are the frame's policy's to refuse.
 */
export async function framedHtml(db: Database, campaignId: number, html: string): Promise<string> {
  if (!/cid:/i.test(html)) return html;
  const pictures = new Map<string, string>();
  for (const { contentId, contentType, content } of await attachmentsOf(db, campaignId)) {
    if (contentId === null || !/^image\/[\w.+-]+$/.test(contentType)) continue;
    pictures.set(contentId, `data:${contentType};base64,${content.toString('base64')}`);
  }
  return html.replace(/cid:([^\s"'<>)]+)/gi, (whole, id: string) => pictures.get(id) ?? whole);
}
