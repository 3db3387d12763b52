// Walks a trace of both sites and makes pairs of images: what a power cut of both at one instant can leave of each, chosen by itself.
// Every pair goes two ways. Reunion: both sites start and come together. Failover: the primary is gone, the secondary takes over, and then
// the old primary comes back with what it has. The product does all of it, the oracle judges it.

import { LvrError, messageOf } from '../../src/core/errors.js';
import { UUID_NONE } from '../../src/format/bytes.js';
import type { Random } from '../helpers/random.js';
import { ImageDisk } from './image-disk.js';
import { Broken, ImageSite, Meeting } from './meeting.js';
import { Oracle } from './oracle.js';
import { PairFigures } from './pair-figures.js';
import type { Life, PairRecording } from './pair-workload.js';
import { imagesOf } from './recovery.js';
import { Survivors } from './survivors.js';
import type { Entry } from './trace.js';
import { disksOfSite, RING_BYTES, VOLUME_BYTES, VOLUMES } from './workload.js';

const PROBLEMS_MAX = 10;
/** One pair in so many loses its power once more while the sites come together. */
const TWICE_EVERY = 6;
/** The power of both goes off once more after so many reunions, and they start again. */
const AGAIN_EVERY = 3;
const NOTHING = VOLUMES.map(() => 0);
/** A session may be refused for this while both ends dial at once; it is no judgement of the histories. */
const PASSING = 'FAILED';

/** What must be there after an image, and by what it is judged. */
type Expected = {
  readonly oracle: Oracle;
  readonly here: readonly number[];
  readonly there: readonly number[];
  readonly mayCreate: boolean;
};

export class Pairs {
  readonly figures = new PairFigures();
  readonly #recording: PairRecording;
  readonly #random: Random;
  readonly #wanted: number;
  readonly #keepIn: string | undefined;
  readonly #disks: readonly ImageDisk[];
  readonly #disksOfA: number;
  readonly #a: ImageSite;
  readonly #b: ImageSite;
  readonly #survivors: Survivors;
  readonly #oracles: readonly Oracle[];
  #operations = 1;
  #writes = 0;

  /** `wanted`: pairs in all, roughly, spread over the trace. `keepIn`: where the first pair that fails is kept. */
  constructor(recording: PairRecording, random: Random, wanted: number, keepIn?: string) {
    this.#recording = recording;
    this.#random = random;
    this.#wanted = wanted;
    this.#keepIn = keepIn;
    const [ofA, ofB] = (['a', 'b'] as const).map((site) =>
      disksOfSite(recording.hasStores).map(({ name, sizeBytes }) => new ImageDisk(`${site}.${name}`, sizeBytes)),
    ) as [ImageDisk[], ImageDisk[]];
    this.#disks = [...ofA, ...ofB];
    this.#disksOfA = ofA.length;
    this.#a = new ImageSite('a', ofA, recording.mode);
    this.#b = new ImageSite('b', ofB, recording.mode);
    this.#survivors = new Survivors(
      random,
      this.#disks,
      this.#disks.filter(({ path }) => path.endsWith('.log')),
    );
    const blank = VOLUMES.map(() => new Float64Array(VOLUME_BYTES / 4096));
    this.#oracles = recording.lives.map(({ writes }) => new Oracle(writes, blank));
    this.figures.laps = Math.floor(recording.ringBytes / RING_BYTES);
  }

  /** Makes and judges all pairs, in the order of the trace. */
  async run(): Promise<PairFigures> {
    const { entries, createdAt } = this.#recording;
    const { figures } = this;
    // Little of the trace is from before clients could write, and a fifth of the pairs is.
    const early = (this.#wanted * 0.1) / createdAt;
    const late = (this.#wanted * 0.9) / (entries.length - createdAt);
    for (const [at, entry] of entries.entries()) {
      const site = entry.disk < this.#disksOfA ? 'a' : 'b';
      const disk = this.#disks[entry.disk] as ImageDisk;
      if (entry.kind === 'write') {
        figures.writes[site]++;
        disk.written(at, entry);
      } else {
        figures.flushes[site]++;
        disk.flushed(entry.covers);
      }
      const share = at < createdAt ? early : late;
      if (this.#random.fraction() < share) await this.#pairAt(at);
    }
    return figures;
  }

  async #pairAt(at: number): Promise<void> {
    const { figures } = this;
    figures.pairs++;
    for (const site of [this.#a, this.#b]) this.#survivors.chooseAll(site.disks, this.#survivors.eighths(), this.#random.chance(40));
    if (this.#survivors.torn.size > 0) figures.torn++;
    const expected = this.#expectedAt(at);
    if (expected.mayCreate) figures.creation++;
    await this.#judge(at, 'reunion', () => this.#reunion(expected));
    this.#survivors.again();
    await this.#judge(at, 'failover', () => this.#failover(expected));
    this.#survivors.clear();
  }

  #expectedAt(at: number): Expected {
    const { lives, entries, createdAt } = this.#recording;
    const number = lives.findIndex((life) => at < life.to);
    const life = lives[number] as Life;
    const { promised, promisedThere } = at + 1 < life.to ? (entries[at + 1] as Entry) : life;
    return { oracle: this.#oracles[number] as Oracle, here: promised, there: promisedThere, mayCreate: at < createdAt };
  }

  async #judge(at: number, way: 'reunion' | 'failover', run: () => Promise<void>): Promise<void> {
    const { figures } = this;
    const problem = await run().then(
      () => undefined,
      (error: unknown) => problemOf(error),
    );
    if (problem === undefined) return;
    figures.violations[way]++;
    if (figures.problems.length >= PROBLEMS_MAX) return;
    figures.problems.push(`pair ${figures.pairs}, after entry ${at}, ${way}: ${problem}`);
    if (figures.problems.length > 1 || this.#keepIn === undefined) return;
    this.#survivors.save(this.#keepIn);
    this.#survivors.again();
    figures.problems.push(`the first pair that failed was kept in ${this.#keepIn}`);
  }

  // ---- both sites are back

  async #reunion(expected: Expected): Promise<void> {
    if (this.#random.below(TWICE_EVERY) === 0) {
      this.figures.twice++;
      const cut = new Meeting(this.#random, [this.#a, this.#b], 1 + this.#random.below(this.#operations));
      await this.#meet(cut, expected, false).finally(() => cut.end());
    }
    const meeting = new Meeting(this.#random, [this.#a, this.#b]);
    const before = this.#disks.reduce((sum, disk) => sum + disk.operations, 0);
    await this.#meet(meeting, expected, true).finally(() => meeting.end());
    this.#operations = this.#disks.reduce((sum, disk) => sum + disk.operations, 0) - before;
    if (this.#random.below(AGAIN_EVERY) !== 0) return;
    const again = new Meeting(this.#random, [this.#a, this.#b]);
    await this.#meetAgain(again).finally(() => again.end());
    this.figures.again++;
  }

  /** What the reunion has written is good for another start. */
  async #meetAgain(meeting: Meeting): Promise<void> {
    const [a, b] = [this.#a, this.#b];
    await meeting.until('both sites start again', Promise.all([a.open(meeting, false), b.open(meeting, false)]));
    this.#checkAcked();
    await meeting.until('both sites serve again', Promise.all([a.serve(), b.serve()]));
    await meeting.reach('both sites are the same again', () => meeting.isInSync(a, b));
    this.#mustBeEqual('after another start');
  }

  /** Ends early when the power goes off. `isLast`: nothing is judged after it, so that clients may write again. */
  async #meet(meeting: Meeting, { oracle, here, mayCreate }: Expected, isLast: boolean): Promise<void> {
    const [a, b] = [this.#a, this.#b];
    if (!(await meeting.until('both sites start', Promise.all([a.open(meeting, mayCreate), b.open(meeting, mayCreate)])))) return;
    mustHold('site a after its recovery', oracle.judge(imagesOf(a.volumes), here));
    this.#checkAcked();
    if (a.group.sites.find('b')?.bitmap !== undefined) this.figures.tracked++;
    const behind = a.group.log.appendedLsn - b.group.log.appendedLsn;
    if (!(await meeting.until('both sites serve', Promise.all([a.serve(), b.serve()])))) return;
    const came = await meeting.reach('both sites are the same', () => {
      const refused = [a, b].find((site) => site.link.session === 'refused' && site.link.code !== PASSING);
      if (refused !== undefined) throw new Broken(`site ${refused.name} refuses: ${refused.link.rule} ${refused.link.reason}`);
      return meeting.isInSync(a, b);
    });
    if (!came || !isLast) return;
    if (behind > 0) this.figures.caughtUp++;
    if (behind < 0) this.figures.tailsCut++;
    mustHold('site a after the reunion', oracle.judge(imagesOf(a.volumes), here));
    this.#mustBeEqual('after the reunion');
    await this.#writeOn(meeting, a, b);
    this.figures.reunions++;
  }

  /** What the primary took for durable at the secondary, and forgot because of it, is there. */
  #checkAcked(): void {
    const [ours, theirs] = [this.#a.group, this.#b.group];
    const acked = ours.sites.find('b')?.durable ?? 0;
    const { durableLsn } = theirs.log;
    if (acked > durableLsn) throw new Broken(`site a takes LSN ${acked} for durable at b, which has ${durableLsn}`);
    // What the log has forgotten stands in the bitmap otherwise.
    const isTracked = ours.sites.find('b')?.bitmap !== undefined;
    if (!isTracked && ours.log.trimmedLsn > durableLsn) throw new Broken(`site a forgot LSN ${ours.log.trimmedLsn}, b has ${durableLsn}`);
  }

  // ---- the primary is gone, and comes back later

  async #failover(expected: Expected): Promise<void> {
    const meeting = new Meeting(this.#random, [this.#a, this.#b]);
    await this.#takeOver(meeting, expected).finally(() => meeting.end());
  }

  async #takeOver(meeting: Meeting, { oracle, here, there, mayCreate }: Expected): Promise<void> {
    const b = this.#b;
    await meeting.open(b, mayCreate);
    const { log, applier } = b.group;
    const isMixed = b.group.resyncs.target.isActive;
    if (isMixed) this.figures.inResync++;
    else {
      const known = Math.min(log.durableLsn, log.recordedPrimaryDurableLsn);
      await meeting.until('site b applies', applier.reached(known));
      mustHold('site b alone', oracle.judge(imagesOf(b.volumes), NOTHING));
    }
    await meeting.until('site b serves', b.serve());
    if (mayCreate && log.store.current.groupUuid === UUID_NONE) {
      this.figures.neverJoined++;
      return;
    }
    await meeting.until('site b is promoted', b.group.promote({ force: false }));
    const promoted = imagesOf(b.volumes);
    mustHold('site b promoted', oracle.judge(promoted, there));
    const wrote = this.#random.below(3);
    for (let i = 0; i < wrote; i++) await meeting.write(b, i % VOLUMES.length, this.#writes++);
    await meeting.reach('site b applies its writes', () => applier.appliedLsn === log.appendedLsn);
    this.figures.takeovers++;
    await this.#rejoin(meeting, oracle, here, promoted);
    meeting.check(b);
  }

  /** The old primary comes back: it follows if it has nothing of its own, else nothing of it or of the new primary is changed. */
  async #rejoin(meeting: Meeting, oracle: Oracle, here: readonly number[], promoted: readonly Float64Array[]): Promise<void> {
    const [a, b] = [this.#a, this.#b];
    await meeting.open(a, false);
    const old = imagesOf(a.volumes);
    mustHold('the old primary after its recovery', oracle.judge(old, here));
    const has = hasMore(oracle, old, promoted);
    const before = [...a.volumes, ...b.volumes].map((disk) => disk.bytes.slice());
    let servedOld = false;
    const serving = meeting.until('the old primary serves', a.serve());
    await serving;
    await meeting.reach('the old primary follows or is refused', () => {
      servedOld ||= a.group.role === 'primary' && a.group.open;
      return meeting.isInSync(b, a) || [a, b].some((site) => site.link.session === 'refused' && site.link.code !== PASSING);
    });
    meeting.check(a);
    if (meeting.isInSync(b, a)) {
      if (has === 'more') throw new Broken(`the old primary followed, although it has writes that the new one lacks; ${meeting.story()}`);
      if (servedOld) throw new Broken('the old primary opened its volumes before it followed the new one');
      this.#mustBeEqual('after the old primary came back');
      await this.#writeOn(meeting, b, a);
      this.figures.followed++;
      return;
    }
    const { code, reason } = a.link.session === 'refused' ? a.link : b.link;
    if (has === 'nothing') throw new Broken(`the old primary is refused, although the new one has all of it: ${code} ${reason}`);
    if (a.group.role !== 'primary') throw new Broken(`the old primary gave its role up for one that lacks writes of it: ${code} ${reason}`);
    if (code !== 'DIVERGED') throw new Broken(`refused with ${code} instead of DIVERGED: ${reason}`);
    const changed = [...a.volumes, ...b.volumes].filter((disk, i) => Buffer.compare(disk.bytes, before[i] as Uint8Array) !== 0);
    if (changed.length > 0) throw new Broken(`refused, but ${changed.map((disk) => disk.path)} changed`);
    await meeting.write(b, 0, this.#writes++);
    this.figures.refused++;
  }

  // ---- for both

  /** The primary goes on, and the secondary gets it. */
  async #writeOn(meeting: Meeting, from: ImageSite, to: ImageSite): Promise<void> {
    if (!(await meeting.write(from, this.#random.below(VOLUMES.length), this.#writes++))) return;
    if (!(await meeting.reach('the secondary has the last write', () => meeting.isInSync(from, to)))) return;
    this.#mustBeEqual('after another write');
    for (const site of [from, to]) meeting.check(site);
  }

  #mustBeEqual(when: string): void {
    for (const [i, disk] of this.#a.volumes.entries()) {
      const other = this.#b.volumes[i] as ImageDisk;
      if (Buffer.compare(disk.bytes, other.bytes) !== 0) throw new Broken(`${when} ${disk.path} and ${other.path} differ`);
    }
  }
}

function mustHold(what: string, problem: string | undefined): void {
  if (problem !== undefined) throw new Broken(`${what}: ${problem}`);
}

/** Says what content tells: whether the old primary has writes that the new one lacks. */
function hasMore(oracle: Oracle, old: readonly Float64Array[], promoted: readonly Float64Array[]): 'more' | 'nothing' | 'unclear' {
  const [ours, theirs] = [oracle.cuts(old) ?? [], oracle.cuts(promoted) ?? []];
  if (ours.some((cut, volume) => cut.first > (theirs[volume]?.last ?? 0))) return 'more';
  return ours.every((cut, volume) => cut.last <= (theirs[volume]?.first ?? 0)) ? 'nothing' : 'unclear';
}

/** What is thrown by the product where nothing may be thrown comes with its place. */
function problemOf(error: unknown): string {
  if (error instanceof Broken || error instanceof LvrError) return messageOf(error);
  return error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 5).join(' ') : String(error);
}
