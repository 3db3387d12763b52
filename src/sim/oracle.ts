// What must be true of all sites together, judged from what clients wrote and were answered and from the bytes on the disks. Positions that
// the product claims are taken as claims: content must agree with them, and what was once claimed must be there after every crash.
//
// A branch is what one writer (epoch, incarnation) made of the history, on top of the prefix it took over. A floor of a site is a record
// that it has been promised to keep; `own`: promised to its own clients, so not even another primary may take it away.

import { writerOf } from '../core/lineage.js';
import { BitmapOracle } from './bitmap-oracle.js';
import type { SimClient, SimRequest } from './client.js';
import { History, isState, SECTOR, stateDifferences, type Written } from './history.js';
import { commonOf, positionsProblem } from './positions.js';
import type { SimSite } from './site.js';
import { VOLUMES } from './site.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

type Floor = { lsn: number; serial: number; own: boolean; why: string };
/** `trimmedLsn`: what its site had forgotten when it was promoted. */
type Branch = { readonly site: string; readonly epoch: number; readonly history: History; readonly trimmedLsn: number };
/** A writer took over the first `lsn` records of a history. */
type Fork = { readonly history: History; readonly lsn: number };
type Shown = { history: History; lsn: number; state: Int32Array[] };

/** What a running site had in its log when it was last looked at. */
type Seen = { readonly boot: number; readonly history: History | undefined; readonly lsn: number };

/** A site that started or was cut off this recently may lack what another one had from the process before. */
const RECENT_MS = 120_000;

export class Oracle {
  readonly #world: World;
  readonly #ids = { last: 0 };
  readonly #branches = new Map<string, Branch>();
  readonly #forks: Fork[] = [];
  readonly #floors = new Map<string, Floor[]>();
  /** Who answered in an epoch, and in an epoch and incarnation. */
  readonly #ackers = new Map<string, string>();
  /** Epochs that two sites were promoted to, which only a careless operator does. */
  readonly sharedEpochs = new Set<number>();
  /** Sites whose disks were replaced: they promise nothing of before. */
  readonly replaced = new Set<string>();
  /** Sites that began to take over: from then on they may have applied what no primary has. */
  readonly tookOver = new Set<string>();
  /** Sites that were promoted in the middle of a resync, and so taken back behind what a primary has struck off. */
  readonly rolledBack = new Set<string>();
  readonly #shown = new Map<string, Shown>();
  readonly #bootedMs = new Map<string, number>();
  readonly #seen = new Map<string, Seen>();
  /** Serials of the records that a site has cut and not received again. */
  readonly #cut = new Map<string, Set<number>>();
  /** When something made answers of a site old news: a pause, a stall. */
  disturbedMs = Number.NEGATIVE_INFINITY;
  readonly bitmaps: BitmapOracle;
  answers = 0;
  checks = 0;

  constructor(world: World) {
    this.#world = world;
    this.bitmaps = new BitmapOracle(world);
  }

  fail(oracle: string, what: string): never {
    throw new Violation(oracle, what);
  }

  /** The history that clients of this primary write on; forked when it is a new writer. */
  historyOf(site: SimSite): History {
    const key = keyOf(site.group.log.lineage.at(-1));
    const known = this.#branches.get(key);
    if (known !== undefined) {
      if (known.site !== site.name) this.fail('one writer', `${site.name} and ${known.site} both write as ${key}`);
      return known.history;
    }
    const lsn = site.group.log.appendedLsn;
    const before = this.#historyAt(site, lsn);
    if (before !== undefined && lsn > before.written.length) this.fail('prefix', `${site.name} leads from LSN ${lsn}, never written`);
    if (before !== undefined) this.#forks.push({ history: before, lsn });
    const history = before?.fork(lsn) ?? new History(this.#world.knobs.volumeBytes, this.#ids);
    const epoch = site.group.log.lineage.at(-1)?.epoch ?? 0;
    const sameEpoch = [...this.#branches.values()].find((branch) => branch.site === site.name && branch.epoch === epoch);
    this.#branches.set(key, { site: site.name, epoch, history, trimmedLsn: sameEpoch?.trimmedLsn ?? site.group.log.trimmedLsn });
    return history;
  }

  /** A group was opened: what its site had cut is not in its log again (a copy may have brought it since). */
  opened(site: SimSite): void {
    this.leads(site);
    const { appendedLsn: lsn, trimmedLsn } = site.group.log;
    const cut = this.#cut.get(site.name);
    if (cut === undefined || this.isExcused(site.name)) return;
    const back = this.#historyAt(site, lsn)?.written.findIndex((record, i) => i >= trimmedLsn && i < lsn && cut.has(record.serial)) ?? -1;
    if (back >= 0) this.fail('void', `${site.name} starts with LSN ${back + 1}, which it had cut`);
  }

  /** A running site is looked at: records that it has no longer were cut, those that it has again were received again. */
  noteCuts(site: SimSite): void {
    if (!site.isUp || site.group.failure !== undefined || this.isExcused(site.name)) return;
    const lsn = site.group.log.appendedLsn;
    const history = this.#historyAt(site, lsn);
    const before = this.#seen.get(site.name);
    this.#seen.set(site.name, { boot: site.boots, history, lsn });
    if (before?.boot !== site.boots || (before.history === history && before.lsn <= lsn && !this.#cut.has(site.name))) return;
    const cut = this.#cut.get(site.name) ?? new Set();
    const common = commonOf(before.history, before.lsn, history, lsn);
    for (const record of before.history?.written.slice(common, before.lsn) ?? []) cut.add(record.serial);
    for (const record of history?.written.slice(common, lsn) ?? []) cut.delete(record.serial);
    if (cut.size > 0) this.#cut.set(site.name, cut);
  }

  /** A resync has ended: what the site had cut may have come back with the copy. */
  copied(site: SimSite): void {
    if (!site.isUp) return;
    const lsn = site.group.log.appendedLsn;
    for (const record of this.#historyAt(site, lsn)?.written.slice(0, lsn) ?? []) this.#cut.get(site.name)?.delete(record.serial);
  }

  /** A group was opened or promoted: if it is primary, its writer is known from now on. */
  leads(site: SimSite): void {
    if (site.isUp && site.group.role === 'primary') this.historyOf(site);
  }

  /** The branch that made the record `lsn` of a site; undefined before the first record. */
  #historyAt(site: SimSite, lsn: number): History | undefined {
    if (lsn === 0) return undefined;
    const writer = writerOf(site.group.log.lineage, lsn);
    const branch = this.#branches.get(keyOf(writer));
    if (branch === undefined) return this.fail('prefix', `${site.name} has LSN ${lsn} by ${keyOf(writer)}, which wrote nothing`);
    return branch.history;
  }

  /** This site's own promises are void: its disks lie, or were replaced. */
  isExcused(name: string): boolean {
    return this.#world.tainted.has(name) || this.replaced.has(name);
  }

  forgive(name: string): void {
    this.replaced.add(name);
    this.#floors.delete(name);
    this.#shown.delete(name);
    this.#cut.delete(name);
  }

  booted(site: SimSite): void {
    this.#bootedMs.set(site.name, this.#world.nowMs);
    this.#shown.delete(site.name);
  }

  // ---- answers

  answered(site: SimSite, client: SimClient, request: SimRequest): void {
    this.answers++;
    this.#world.trace(3, request.lsn, request.errno ?? 0);
    if (client.wrongReads.length > 0 && !this.#world.mayReadDamage(site)) this.fail('reads', `${site.name} ${client.wrongReads[0]}`);
    if (request.errno !== 0 || request.op === 'read' || !site.isUp) return;
    this.#oneAcker(site);
    const { history } = client;
    const isFlush = request.op === 'flush' || request.fua;
    const why = `${isFlush ? 'flush' : 'write'} answered at ${site.name}`;
    if (isFlush || !site.config.writeCache) this.#promise(site.name, history, request.lsn, true, why);
    for (const progress of site.group.sites.all) {
      const mode = progress.effectiveMode;
      const other = this.#world.site(progress.config.name);
      if (mode === 'async') continue;
      if (mode !== 'memory' && request.op !== 'flush') {
        this.#promise(site.name, history, request.lsn, true, why);
        this.#promise(other.name, history, request.lsn, false, why);
      } else if (isFlush) this.#promise(other.name, history, request.lsn, false, why);
      this.#checkReceived(site, other, history, request, mode === 'applied');
    }
  }

  #oneAcker(site: SimSite): void {
    const { epoch } = site.group.log.store.current;
    const writer = site.group.log.lineage.at(-1);
    const keys = this.sharedEpochs.has(epoch) ? [keyOf(writer)] : [keyOf(writer), `epoch ${epoch}`];
    for (const key of keys) {
      const before = this.#ackers.get(key) ?? site.name;
      if (before !== site.name) this.fail('one acker', `${before} and ${site.name} both answered as ${key}`);
      this.#ackers.set(key, site.name);
    }
  }

  /** What the mode says is at the other site now is there now, unless its process is not the one that took it. */
  #checkReceived(site: SimSite, other: SimSite, history: History, request: SimRequest, isApplied: boolean): void {
    const { nowMs } = this.#world;
    const bootedMs = this.#bootedMs.get(other.name) ?? 0;
    if (!other.isUp || nowMs - bootedMs < RECENT_MS || nowMs - this.disturbedMs < RECENT_MS || this.isExcused(other.name)) return;
    const { log, role } = other.group;
    if (role !== 'secondary' || request.lsn === 0 || keyOf(log.lineage.at(-1)) !== keyOf(site.group.log.lineage.at(-1))) return;
    if (log.appendedLsn < request.lsn) {
      this.fail('acknowledged', `${site.name} answered LSN ${request.lsn}, but ${other.name} has received ${log.appendedLsn}`);
    }
    if (!isApplied || request.op === 'flush') return;
    const view = (other.volumes[request.volume] as { view: Uint8Array }).view;
    for (let at = request.offset; at < request.offset + request.length; at += SECTOR) {
      const id = new Uint32Array(view.buffer, view.byteOffset + at, 1)[0];
      if (!isAtLeast(history, request, at / SECTOR, id)) {
        this.fail(
          'acknowledged',
          `${site.name} answered LSN ${request.lsn} as applied at ${other.name}, where ${VOLUMES[request.volume]} differs`,
        );
      }
    }
  }

  #promise(name: string, history: History, lsn: number, own: boolean, why: string): void {
    if (lsn === 0 || this.isExcused(name)) return;
    const floors = this.#floors.get(name) ?? [];
    this.#floors.set(name, floors);
    const serial = (history.written[lsn - 1] as Written).serial;
    const same = floors.find((floor) => floor.own === own && floor.lsn <= lsn && history.written[floor.lsn - 1]?.serial === floor.serial);
    if (same === undefined) floors.push({ lsn, serial, own, why });
    else Object.assign(same, { lsn, serial, why });
  }

  // ---- checks of a site

  /** Everything that can be said about a running site now. */
  check(site: SimSite): void {
    if (!site.isUp || site.group.failure !== undefined) return;
    this.checks++;
    this.noteCuts(site);
    const { log, applier } = site.group;
    const { durableLsn, appendedLsn } = log;
    const { appliedLsn } = applier;
    this.#world.trace(4, appendedLsn, durableLsn, appliedLsn);
    const misplaced = positionsProblem(log, applier);
    if (misplaced !== undefined) this.fail('positions', `${site.name} has ${misplaced}`);
    if (this.#world.tainted.has(site.name)) return;
    const history = this.#historyAt(site, appendedLsn);
    if (history !== undefined && appendedLsn > history.written.length) {
      this.fail('prefix', `${site.name} has LSN ${appendedLsn} of ${history.written.length} written`);
    }
    // What a process before this one has applied and not checkpointed is applied again before the volumes are a prefix.
    const target = site.group.role === 'primary' ? durableLsn : Math.min(durableLsn, log.recordedPrimaryDurableLsn);
    if (applier.startedLsn === appliedLsn && appliedLsn >= target) this.#checkImage(site, appliedLsn);
    // What a resync has overwritten is judged when it is over, or rolled back.
    if (!site.group.resyncs.target.isActive) this.#checkFloors(site, history);
    if (site.group.role === 'primary' && history !== undefined) this.#checkSites(site, history);
  }

  #checkImage(site: SimSite, lsn: number): void {
    if (site.group.status().image === 'inconsistent') return;
    const history = this.#historyAt(site, lsn);
    const state = this.#stateOf(site.name, history, lsn);
    const images = site.volumes.map((disk) => disk.view);
    if (isState(state, images)) return;
    const wrong = stateDifferences(state, images);
    this.fail('prefix', `${site.name} says it has applied LSN ${lsn}, but ${wrong.length} sectors differ: ${wrong.slice(0, 3).join(', ')}`);
  }

  /** The state after `lsn`, kept per site and moved on. */
  #stateOf(name: string, history: History | undefined, lsn: number): Int32Array[] {
    const { volumeBytes } = this.#world.knobs;
    if (history === undefined) return new History(volumeBytes).current;
    const shown = this.#shown.get(name);
    if (shown?.history !== history || shown.lsn > lsn) {
      const fresh = { history, lsn, state: history.state(lsn) };
      this.#shown.set(name, fresh);
      return fresh.state;
    }
    for (; shown.lsn < lsn; shown.lsn++) {
      const { volume, first, end, id } = history.written[shown.lsn] as Written;
      (shown.state[volume] as Int32Array).fill(id, first, end);
    }
    return shown.state;
  }

  #checkFloors(site: SimSite, history: History | undefined): void {
    const floors = this.#floors.get(site.name);
    if (floors === undefined) return;
    const { durableLsn } = site.group.log;
    for (const floor of [...floors]) {
      if (history?.written[floor.lsn - 1]?.serial === floor.serial) {
        if (durableLsn >= floor.lsn) continue;
        if (!floor.own && this.#forks.some((fork) => fork.history === history && fork.lsn <= durableLsn)) {
          // The primary itself had lost them, and what this site had of them was cut when the two met.
          floors.splice(floors.indexOf(floor), 1);
          this.#world.count('records cut that the primary had lost');
          continue;
        }
        this.fail('durability', `${site.name} has LSN ${durableLsn}, promised was ${floor.lsn} (${floor.why})`);
      }
      // Another primary's history took its place. What this site promised to its own clients must not go that way.
      if (floor.own) this.fail('durability', `${site.name} lost its own LSN ${floor.lsn} (${floor.why})`);
      floors.splice(floors.indexOf(floor), 1);
      this.#world.count('promise of an older history void');
    }
  }

  /** The master invariant and the truth of status, from the primary's side. */
  #checkSites(primary: SimSite, history: History): void {
    for (const progress of primary.group.sites.all) {
      const { name } = progress.config;
      if (this.isExcused(name)) continue;
      this.#promise(name, history, Math.min(progress.durable, history.written.length), false, `acked in the status of ${primary.name}`);
      const other = this.#world.site(name);
      if (!other.isUp || other.group.failure !== undefined) continue;
      if (progress.bitmap !== undefined && !progress.bitmap.isKept) {
        if (!this.isExcused(name) && !this.haveParted(primary, other)) this.bitmaps.check(primary, other, progress.bitmap);
        continue;
      }
      if (other.group.resyncs.target.isActive) {
        this.bitmaps.checkCounted(primary, other, progress.durable);
        continue;
      }
      const { trimmedLsn, store } = primary.group.log;
      // What it had forgotten before it became primary needs a seed, which it says when the two meet.
      if (trimmedLsn <= (this.#branches.get(keyOf(primary.group.log.lineage.at(-1)))?.trimmedLsn ?? trimmedLsn)) continue;
      // A site that follows another primary of this epoch or a newer one may have cut what this one knew it had.
      if (other.group.log.store.current.epoch > store.current.epoch || this.sharedEpochs.has(store.current.epoch)) continue;
      const { durableLsn } = other.group.log;
      const has = commonOf(history, history.written.length, this.#historyAt(other, durableLsn), durableLsn);
      // A promotion in mid-resync that a crash cut off took it back too far: it needs a seed, which both say when they meet.
      if (trimmedLsn > has && !this.rolledBack.has(name)) {
        this.fail('master invariant', `${primary.name} keeps records from ${trimmedLsn + 1} on, but ${name} has only ${has} of them`);
      }
    }
  }

  /** A primary gave way to a newer one: that one must have everything it has. */
  steppedDown(site: SimSite): void {
    const lsn = site.group.log.appendedLsn;
    const serial = this.#historyAt(site, lsn)?.written[lsn - 1]?.serial;
    if (lsn === 0 || this.isExcused(site.name)) return;
    for (const branch of this.#branches.values()) {
      if (branch.site !== site.name && branch.history.written[lsn - 1]?.serial === serial) return;
    }
    this.fail('step down', `${site.name} became secondary, but LSN ${lsn} exists only there`);
  }

  // ---- the end

  /** Whether the histories of two sites have really parted: neither is a prefix of the other. */
  haveParted(a: SimSite, b: SimSite): boolean {
    const [lsnA, lsnB] = [a.group.log.appendedLsn, b.group.log.appendedLsn];
    const common = Math.min(lsnA, lsnB);
    if (common === 0) return false;
    return this.#historyAt(a, lsnA)?.written[common - 1]?.serial !== this.#historyAt(b, lsnB)?.written[common - 1]?.serial;
  }

  /** The last record that two sites have in common. */
  common(a: SimSite, b: SimSite): number {
    const [ours, theirs] = [a, b].map((site) => this.#historyAt(site, site.group.log.appendedLsn)?.written ?? []) as [Written[], Written[]];
    const end = Math.min(a.group.log.appendedLsn, b.group.log.appendedLsn);
    let common = 0;
    while (common < end && ours[common]?.serial === theirs[common]?.serial) common++;
    return common;
  }

  /** What a primary had forgotten when it was promoted. */
  trimmedAtPromotion(primary: SimSite): number {
    return this.#branches.get(keyOf(primary.group.log.lineage.at(-1)))?.trimmedLsn ?? primary.group.log.trimmedLsn;
  }

  /** The primary, never replaced, lost the end of what it wrote: `site` may not stay apart with it, for it must not have applied it. */
  isOwnTail(primary: SimSite, site: SimSite): boolean {
    const theirs = this.#historyAt(site, site.group.log.appendedLsn);
    if (theirs === undefined || site.group.role === 'primary' || this.tookOver.has(site.name)) return false;
    const common = this.common(primary, site);
    return common < site.group.log.appendedLsn && this.#isKnownOnlyTo(primary.name, theirs.written[common]?.serial);
  }

  /** Only this site wrote the record, or led a history with it: nobody else can have told another site to apply it. */
  #isKnownOnlyTo(name: string, serial: number | undefined): boolean {
    const having = [...this.#branches.values()].filter((branch) => branch.history.written.some((w) => w.serial === serial));
    return having.length > 0 && having.every((branch) => branch.site === name);
  }

  /** Byte equality of two sites that both say they have everything. */
  checkEqual(a: SimSite, b: SimSite): void {
    if (this.#world.tainted.has(a.name) || this.#world.tainted.has(b.name)) return;
    for (const [i, disk] of a.volumes.entries()) {
      if (Buffer.compare(disk.view, (b.volumes[i] as { view: Uint8Array }).view) !== 0) {
        this.fail('equal', `${VOLUMES[i]} differs between ${a.name} and ${b.name} although both are in sync`);
      }
    }
  }
}

function keyOf(writer: { epoch: number; incarnation: number } | undefined): string {
  return writer === undefined ? 'nobody' : `${writer.epoch}.${writer.incarnation}`;
}

/** The sector holds what the request wrote, or something written after it. */
function isAtLeast(history: History, request: SimRequest, sector: number, id: number | undefined): boolean {
  for (let i = request.lsn - 1; i < history.written.length; i++) {
    const w = history.written[i];
    if (w !== undefined && w.volume === request.volume && w.first <= sector && sector < w.end && w.id === id) return true;
  }
  // A long write is several records, of which lsn is the last.
  return history.written
    .slice(Math.max(0, request.lsn - 4), request.lsn)
    .some((w) => w.volume === request.volume && w.first <= sector && sector < w.end && w.id === id);
}
