// When writes and flushes may be answered: the rule against its definition, over all modes and positions.

import t from 'tap';
import { type AckLimits, ackLimits, effectiveMode, type SiteAcks } from '../../src/core/ack-rule.js';

const MODES = ['async', 'memory', 'logged', 'applied'] as const;
const AWAY = ['continue', 'block', 'fail'] as const;

function limits(appended: number, durable: number, writeCache: boolean, sites: readonly SiteAcks[]): AckLimits {
  const out: AckLimits = { writeLsn: -1, flushLsn: -1, failing: true };
  ackLimits(appended, durable, writeCache, sites, out);
  return out;
}

function* allSites(): Generator<SiteAcks> {
  for (const mode of MODES) {
    for (const onDisconnect of AWAY) {
      for (const streaming of [false, true]) {
        for (const received of [0, 4, 9]) {
          for (const durable of [0, 3, 8].filter((lsn) => lsn <= received)) {
            for (const applied of [0, 2, 7].filter((lsn) => lsn <= durable)) {
              yield { mode, onDisconnect, streaming, received, durable, applied };
            }
          }
        }
      }
    }
  }
}

/** True when a write (or flush) up to `lsn` may be answered: the decision in words, one condition after the other. */
function mayAnswer(what: 'write' | 'flush', lsn: number, durable: number, writeCache: boolean, site: SiteAcks): boolean {
  const counts = site.streaming || site.onDisconnect !== 'continue';
  const mode = counts ? site.mode : 'async';
  if ((what === 'flush' || !writeCache) && lsn > durable) return false;
  if (mode === 'memory' && lsn > site.received) return false;
  if (mode === 'logged' && (lsn > site.durable || lsn > durable)) return false;
  if (mode === 'applied' && (lsn > site.applied || lsn > durable)) return false;
  return !(what === 'flush' && mode !== 'async' && lsn > site.durable);
}

t.test('the limits are the highest LSN that every site allows', async (t) => {
  let wrong = 0;
  let cases = 0;
  for (const site of allSites()) {
    for (const writeCache of [false, true]) {
      for (const durable of [0, 5, 10]) {
        const appended = 10;
        const got = limits(appended, durable, writeCache, [site]);
        const highest = (what: 'write' | 'flush'): number => {
          let best = 0;
          for (let lsn = 1; lsn <= appended; lsn++) if (mayAnswer(what, lsn, durable, writeCache, site)) best = lsn;
          return best;
        };
        if (got.writeLsn !== highest('write') || got.flushLsn !== highest('flush')) wrong++;
        if (got.failing !== (!site.streaming && site.mode !== 'async' && site.onDisconnect === 'fail')) wrong++;
        cases++;
      }
    }
  }
  t.equal(wrong, 0);
  t.ok(cases > 1000);
});

t.test('two sites allow what both allow, and either can fail the volume', async (t) => {
  const sites = [...allSites()].filter((_, i) => i % 3 === 0);
  let wrong = 0;
  for (const a of sites) {
    for (const b of sites) {
      const both = limits(10, 6, true, [a, b]);
      const [first, second] = [limits(10, 6, true, [a]), limits(10, 6, true, [b])];
      if (both.writeLsn !== Math.min(first.writeLsn, second.writeLsn)) wrong++;
      // A flush covers answered writes only, so the other site's write limit bounds it as well.
      if (both.flushLsn !== Math.min(first.flushLsn, second.flushLsn)) wrong++;
      if (both.failing !== (first.failing || second.failing)) wrong++;
    }
  }
  t.equal(wrong, 0);
});

t.test('without sites a cached write is answered at once and a flush when it is durable here', async (t) => {
  t.same(limits(10, 4, true, []), { writeLsn: 10, flushLsn: 4, failing: false });
  t.same(limits(10, 4, false, []), { writeLsn: 4, flushLsn: 4, failing: false });
});

t.test('the effective mode falls to async only with on_disconnect = continue', async (t) => {
  t.equal(effectiveMode({ mode: 'logged', onDisconnect: 'continue', streaming: false }), 'async');
  t.equal(effectiveMode({ mode: 'logged', onDisconnect: 'continue', streaming: true }), 'logged');
  t.equal(effectiveMode({ mode: 'memory', onDisconnect: 'block', streaming: false }), 'memory');
  t.equal(effectiveMode({ mode: 'applied', onDisconnect: 'fail', streaming: false }), 'applied');
});

t.test('a site that a limit is enforced for makes writes wait until they are durable there, in any mode', async (t) => {
  const site: SiteAcks = { mode: 'async', onDisconnect: 'fail', streaming: false, received: 9, durable: 7, applied: 5, enforced: true };
  t.same(limits(10, 8, true, [site]), { writeLsn: 7, flushLsn: 7, failing: false });
  t.same(limits(10, 6, true, [{ ...site, mode: 'memory' }]), { writeLsn: 6, flushLsn: 6, failing: false });
  t.same(limits(10, 8, true, [{ ...site, mode: 'applied' }]), { writeLsn: 5, flushLsn: 5, failing: false });
  t.same(limits(10, 8, true, [{ ...site, enforced: false, refusing: true }]), { writeLsn: 10, flushLsn: 8, failing: true });
  t.equal(effectiveMode(site), 'logged');
});
