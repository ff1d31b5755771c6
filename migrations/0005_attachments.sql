-- How many files a campaign was made with, so that none can vanish unnoticed.

alter table campaign add column attachments smallint;
comment on column campaign.attachments is 'Files that it was made with; workers pause it when there are fewer in the attachment table. Null: made by a version that did not count them.';

update campaign c set attachments = (select count(*) from attachment a where a.campaign_id = c.campaign_id);
