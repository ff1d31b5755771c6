import process from 'node:process';

/*
 * Viewers that follow one campaign as pages do, in a process of their own, so that reading costs neither the sender nor the
 * driver. Told the stream's URL and how many; says so when each has heard its first piece; ends when its channel closes.
 */

const [url = '', many = '1'] = process.argv.slice(2);

async function follow(): Promise<void> {
  const answer = await fetch(url);
  if (answer.body === null || !answer.ok) throw new Error(`${url}: ${answer.status}`);
  const reader = answer.body.getReader();
  await reader.read();
  const on = async () => {
    while (!(await reader.read()).done);
  };
  on().catch(() => process.exit(1));
}

await Promise.all(Array.from({ length: Number(many) }, follow));
process.on('disconnect', () => process.exit());
process.send?.('reading');
