import { readFileSync } from 'node:fs';

/*
 * `node --import ./bench/report-peak.mjs …`: at its end the process says on stderr how much memory it had at most. Linux tells
 * it in VmHWM of this program alone; elsewhere the operating system's own figure has to do.
 */
process.on('exit', () => {
  process.stderr.write(`peak-rss-kb ${peakKb()}\n`);
});

function peakKb() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS;
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
}
