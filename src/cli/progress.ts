// How far a resync is, as one line for people: name, bar, share, bytes, rate, and how long it will take.

import type { SiteStatus } from '../core/status.js';
import { formatBytes, formatSeconds } from './table.js';

const BAR_CELLS = 20;

/** `[########------------]`; full only at 100. */
export function bar(percent: number): string {
  const cells = Math.floor((Math.min(100, Math.max(0, percent)) / 100) * BAR_CELLS);
  return `[${'#'.repeat(cells)}${'-'.repeat(BAR_CELLS - cells)}]`;
}

/** The line of a site, whether there is anything to copy to it or not. */
export function progressLine(site: SiteStatus): string {
  const { resync } = site;
  if (resync === null) {
    if (site.tracking === 'log') return `${site.site}: nothing to copy`;
    const why = site.reason === '' ? site.session : site.reason;
    return `${site.site}: ${formatBytes(site.dirtyBytes)} to copy, not under way (${why})`;
  }
  const total = resync.copiedBytes + resync.remainingBytes;
  const parts = [
    `${site.site}: ${bar(resync.percent)}`,
    `${resync.percent.toFixed(1)} %`,
    `${formatBytes(resync.copiedBytes)} of ${formatBytes(total)}`,
  ];
  if (resync.sameBytes > 0) parts.push(`${formatBytes(resync.sameBytes)} were the same`);
  if (resync.state !== 'running') return `${parts.join('  ')}  ${resync.reason}`;
  parts.push(`${formatBytes(resync.bytesPerSecond)}/s`);
  if (resync.etaSeconds !== null) parts.push(`done in about ${formatSeconds(resync.etaSeconds)}`);
  return parts.join('  ');
}
