// A run as lines of text: what happens to which site, in order. Generated runs, scenario files and shrunk failures all have this form, and
// any subset of the lines is a run too: a line that does not fit the moment (a site that is down, a role that is not there) does nothing.
//
//   wait MS                               load SITE COUNT SEED [big]    COUNT random requests by clients of SITE
//   write SITE VOLUME OFFSET LENGTH [fua] trim|zero SITE VOLUME OFFSET LENGTH      flush SITE        read SITE VOLUME OFFSET LENGTH
//   crash SITE power|process [silent]     start SITE                    promote SITE [force]         demote SITE
//   until SITE STATE MS                   waits for SITE to be in a state (UNTIL), so long at most
//   cut A B | heal A B | reset A B        one direction, one direction, both       heal              everything
//   stall A B MS | flip A B BYTES         pause SITE MS | jump SITE MS
//   fault SITE DISK KIND AFTER TIMES      rot SITE DISK SECTOR BIT      disks SITE blank|blank-log|rollback|foreign      snapshot SITE

import { LvrError } from '../core/errors.js';
import { SimClient } from './client.js';
import type { CrashKind, SimDisk } from './disk.js';
import type { Knobs } from './knobs.js';
import { Oracle } from './oracle.js';
import { rotBitmap, until } from './phases.js';
import { Random } from './random.js';
import type { SimSite } from './site.js';
import { VOLUMES } from './site.js';
import { Violation } from './violation.js';
import { type FaultKind, SITES, shortly, World } from './world.js';

const CLIENTS_MAX = 3;
/** Requests of one client in flight. */
const WAITING_MAX = 600;

/** A run under way. */
export class Script {
  readonly world: World;
  readonly oracle: Oracle;
  readonly #clients = new Map<string, SimClient[]>();
  readonly #snapshots = new Map<string, SimDisk[]>();
  /** Starts that were refused, by site. */
  readonly refusals = new Map<string, LvrError>();
  readonly #starting = new Set<string>();
  #epochMax = 1;
  /** The first violation met outside the line being run. */
  violation: Violation | undefined;

  constructor(knobs: Knobs) {
    this.world = new World(knobs);
    this.oracle = new Oracle(this.world);
    this.world.onReported = (site, event) => {
      this.world.count(`event ${event}`);
      if (/^(bitmap|resync)-/.test(event)) this.#guard(() => this.oracle.bitmaps.reported(site, event));
      if (event === 'resync-ended') this.#guard(() => this.oracle.copied(site));
      if (event === 'stepped-down') this.#guard(() => this.oracle.steppedDown(site));
    };
    this.world.onTorn = (site) => this.crash(site, 'power', false);
    this.world.onOpened = (site) => this.#guard(() => this.oracle.opened(site));
  }

  /** Starts all sites and lets them meet. */
  async begin(): Promise<void> {
    for (const site of this.world.sites) this.#start(site);
    await this.world.run(4_000);
    this.checkAll();
  }

  /** Carries one line out. Throws Violation. */
  async line(line: string): Promise<void> {
    const [verb = '', ...words] = line.trim().split(/\s+/);
    this.world.trace(verb.length, verb.charCodeAt(0), this.world.nowMs);
    const handler = HANDLERS[verb];
    if (handler === undefined) throw new LvrError('USAGE', `no such line: ${line}`);
    const names = ['cut', 'heal', 'reset', 'stall', 'flip'].includes(verb) ? words.slice(0, 2) : words.slice(0, 1);
    if (names.some((name) => SITES.includes(name) && !this.#has(name))) return;
    await handler(this, words);
    if (this.violation !== undefined) throw this.violation;
    this.checkAll();
  }

  #has(name: string): boolean {
    return this.world.sites.some((site) => site.name === name);
  }

  /** Judges every running site. */
  checkAll(): void {
    for (const site of this.world.sites) {
      this.oracle.check(site);
      this.#checkFailure(site);
      if (site.isUp) this.#observe(site);
    }
  }

  /** A group fails, or refuses to start, only where a fault was put; and an assertion never fails. */
  #checkFailure(site: SimSite): void {
    const failure = site.isUp ? site.group.failure : this.refusals.get(site.name);
    if (failure === undefined) return;
    const { world } = this;
    if (/Assertion|TypeError|RangeError/.test(failure.message)) throw new Violation('assertion', `${site.name}: ${failure.message}`);
    if (world.faulted.has(site.name) || this.oracle.isExcused(site.name)) {
      world.count(`loud ${failure.code}`);
      return;
    }
    if (failure.code === 'LOG_SUPERBLOCK' && !site.hadLog) {
      // The power went while the first superblock was written: nothing proves that it is not a damaged log of somebody.
      world.count('log torn at its creation');
      return;
    }
    throw new Violation('no false alarm', `${site.name} failed without a fault: ${failure.message}`);
  }

  /** Counts states worth reaching. */
  #observe(site: SimSite): void {
    const { group } = site;
    const { world } = this;
    if (group.log.store.current.trimmedPosition >= group.log.ring.bytes) world.count('log wrapped');
    if (group.logFullSince > 0) world.count('writers wait for log space');
    if (group.joining) world.count('seen joining');
    if (group.resyncs.target.isActive) world.count('seen in a resync');
    for (const { bitmap } of group.sites.all) if (bitmap !== undefined) world.count(bitmap.isKept ? 'bitmap and log' : 'bitmap');
    if (group.changing) world.count('seen changing its role');
    if (group.sites.limits.failing) world.count('writes fail while a site is away');
    for (const [name, link] of group.links) {
      const { rule, session, replication } = link.state();
      if (rule !== '') world.count(`rule ${rule}`);
      world.count(`session ${session}`);
      if (replication === 'catchingUp') world.count('catching up');
      if (replication === 'resyncing') world.count('resyncing');
      const progress = group.sites.find(name);
      if (group.role === 'primary' && progress !== undefined && progress.effectiveMode !== progress.mode)
        world.count('effective mode is less');
    }
  }

  // ---- sites

  start(site: SimSite): void {
    if (!site.isUp && !this.#starting.has(site.name)) this.#start(site);
  }

  #start(site: SimSite): void {
    const { world } = this;
    this.#starting.add(site.name);
    this.refusals.delete(site.name);
    const boot = site.boots + 1;
    this.oracle.booted(site);
    const ended = (): boolean => site.boots === boot && this.#starting.delete(site.name);
    site.start().then(
      () => {
        if (ended()) this.#note(site);
      },
      (error: unknown) => {
        if (!ended()) return;
        if (error instanceof LvrError) {
          this.refusals.set(site.name, error);
          world.count(`start refused ${error.code}`);
          if (error.code === 'LOG_CORRUPT') world.count('corrupt log refused');
        } else this.violation ??= new Violation('assertion', `${site.name} starts: ${shortly(error)}`);
        site.crash('process');
      },
    );
  }

  #note(site: SimSite): void {
    for (const line of site.lines.splice(0)) {
      const rule = /^log-opened .*\b(created|ends at)\b/.exec(line);
      if (rule !== null) this.world.count(`log ${rule[1]}`);
    }
  }

  crash(site: SimSite, kind: CrashKind, isSilent: boolean): void {
    const { world } = this;
    if (site.boots === 0 || (!site.isUp && !this.#starting.has(site.name))) return;
    if (this.#starting.has(site.name)) world.count(site.isUp ? 'crash while a primary hears its sites' : 'crash inside recovery');
    if (site.isUp && site.group.changing) world.count('crash inside a role change');
    if (site.isUp && site.group.joining) world.count('crash inside a join');
    if (site.isUp && site.group.log.undurable > 0) world.count('crash with log writes in flight');
    if (site.log.volatileSectors > 0 && kind === 'power') world.count('crash loses unflushed log sectors');
    if (isSilent) world.count('half-open connection');
    this.#note(site);
    this.#guard(() => this.oracle.noteCuts(site));
    this.#starting.delete(site.name);
    site.crash(kind, isSilent);
    world.powerCycled(site);
    this.#clients.delete(site.name);
  }

  /** A client of a primary that serves; undefined when there is none to have. */
  client(site: SimSite, which: number): SimClient | undefined {
    if (!site.isUp || site.clock.isPaused || this.#starting.has(site.name)) return undefined;
    const { group } = site;
    if (group.unavailable !== undefined || group.writePath === undefined) return undefined;
    const history = this.oracle.historyOf(site);
    const clients = (this.#clients.get(site.name) ?? []).filter((client) => !client.isRevoked && client.history === history);
    this.#clients.set(site.name, clients);
    const known = clients[which % CLIENTS_MAX];
    if (known !== undefined) return known.waiting < WAITING_MAX ? known : undefined;
    const client = new SimClient(site, history);
    client.onAnswer = (request) => this.#guard(() => this.oracle.answered(site, client, request));
    clients.push(client);
    return client;
  }

  /** Requests of the clients of a site that wait for their answer. */
  waitingAt(site: SimSite): number {
    return (this.#clients.get(site.name) ?? []).reduce((sum, client) => sum + client.waiting, 0);
  }

  /** A client of the site was told that there is no room and never that there is some. */
  isAnyoneShortOfRoom(site: SimSite): boolean {
    return (this.#clients.get(site.name) ?? []).some((client) => client.isShortOfRoom && !client.isRevoked);
  }

  disconnectClients(site: SimSite): void {
    for (const client of this.#clients.get(site.name) ?? []) client.disconnect();
    this.#clients.delete(site.name);
  }

  /** What an oracle finds inside a callback of the product must not be caught there. */
  #guard(judge: () => void): void {
    try {
      judge();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.violation ??= error;
    }
  }

  async load(site: SimSite, count: number, random: Random, isBig: boolean): Promise<void> {
    const { world } = this;
    for (let i = 0; i < count; i++) {
      const client = this.client(site, random.below(CLIENTS_MAX));
      if (client === undefined) return;
      if (!client.act(random, world.knobs.longSectors, isBig)) {
        world.count('no room for a request');
        client.waitForRoom();
      }
      if (random.chance(30)) client.commit();
      if (random.chance(25)) await world.run(random.pick([0, 0.05, 0.5, 3, 30]));
      if (this.violation !== undefined) return;
    }
    this.client(site, 0)?.commit();
  }

  /** Promotes if the manager of this run would, or `must`. */
  async promote(site: SimSite, force: boolean, must = false): Promise<void> {
    const { world } = this;
    if (!site.isUp || site.group.role === 'primary') return;
    const { epoch } = site.group.log.store.current;
    const isCareful = epoch >= this.#epochMax;
    if (world.knobs.disciplined && !must && (!isCareful || force)) return;
    const { group } = site;
    this.oracle.tookOver.add(site.name);
    if (group.resyncs.target.isActive) {
      this.oracle.rolledBack.add(site.name);
      world.count('promoted in mid-resync');
    }
    const work = group.promote({ force }).then(
      (result) => {
        if (!result.changed) return;
        world.count('promoted');
        const promoted = Number(result.epoch);
        if (promoted <= this.#epochMax) this.oracle.sharedEpochs.add(promoted);
        this.#epochMax = Math.max(this.#epochMax, promoted);
        this.#guard(() => this.oracle.leads(site));
      },
      (error: unknown) => this.#refused('promote', error),
    );
    // A crash may come in the middle: the line does not wait for the end.
    if (!isCareful) this.oracle.sharedEpochs.add(epoch + 1);
    this.#epochMax = Math.max(this.#epochMax, epoch + 1);
    await world.until(work, world.random.pick([1, 10, 200, 2000]));
  }

  async demote(site: SimSite): Promise<void> {
    if (!site.isUp || site.group.role === 'secondary') return;
    this.disconnectClients(site);
    const work = site.group.demote().then(
      () => this.world.count('demoted'),
      (error: unknown) => this.#refused('demote', error),
    );
    await this.world.until(work, this.world.random.pick([1, 10, 200, 12_000]));
  }

  #refused(what: string, error: unknown): void {
    if (error instanceof LvrError) this.world.count(`${what} refused ${error.code}`);
    else this.violation ??= new Violation('assertion', `${what}: ${shortly(error)}`);
  }

  /** Puts other disks into a site that is down. */
  replaceDisks(site: SimSite, how: string): void {
    if (site.isUp || this.#starting.has(site.name)) return;
    const { world } = this;
    const old = site.disks;
    let fresh: SimDisk[] = [];
    if (how === 'rollback') fresh = this.#snapshots.get(site.name) ?? [];
    else if (how === 'blank' || how === 'blank-log')
      fresh = old.map((disk, i) => (how === 'blank' || i === 0 ? disk.blank() : disk.clone()));
    else {
      const other = world.sites.find((s) => s !== site && !s.isUp);
      if (other !== undefined) fresh = [other.log.clone(), ...[...site.volumes, ...site.stores].map((disk) => disk.clone())];
    }
    if (fresh.length === 0) return;
    // Volumes that hold something no log knows: a primary begins a new history with them as they are.
    if (how === 'blank-log') world.tainted.add(site.name);
    if (how === 'rollback') this.#snapshots.delete(site.name);
    world.count(`disks ${how}`);
    this.oracle.forgive(site.name);
    for (const disk of old) disk.discard();
    site.setDisks(fresh);
    if (how !== 'foreign') site.hadLog = how === 'rollback';
  }

  snapshot(site: SimSite): void {
    if (site.isUp || this.#starting.has(site.name) || site.boots === 0) return;
    for (const disk of this.#snapshots.get(site.name) ?? []) disk.discard();
    this.#snapshots.set(
      site.name,
      site.disks.map((disk) => disk.clone()),
    );
  }

  end(): void {
    if (this.world.network.lateBytes > 0) this.world.count('closed connection delivers late');
    for (const disks of this.#snapshots.values()) for (const disk of disks) disk.discard();
    this.world.end();
  }
}

/** The disk `log`, `data`, `wal`, `bitmaps` or `undo` of a site. */
function diskOf(site: SimSite, name: string): SimDisk {
  const store = ['bitmaps', 'undo'].indexOf(name);
  if (store >= 0) return site.stores[store] as SimDisk;
  return name === 'log' ? site.log : (site.volumes[Math.max(0, VOLUMES.indexOf(name))] as SimDisk);
}

type Handler = (script: Script, words: readonly string[]) => Promise<void> | void;

/** One request of a script line. */
function request(script: Script, words: readonly string[], act: (client: SimClient) => void): void {
  const client = script.client(script.world.site(words[0] ?? ''), 0);
  if (client === undefined) return;
  act(client);
  client.commit();
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  wait: (script, [ms]) => script.world.run(Number(ms)),
  until,
  load: (script, [site = '', count, seed, big]) =>
    script.load(script.world.site(site), Number(count), new Random(Number(seed)), big === 'big'),
  write: (script, words) =>
    request(script, words, (client) => {
      const [, volume, offset, length, fua] = words;
      client.write(VOLUMES.indexOf(volume ?? ''), Number(offset), Number(length), fua === 'fua', Number(length) > 65536 ? 1 : 0);
    }),
  trim: (script, words) =>
    request(script, words, (client) => void client.discard('trim', VOLUMES.indexOf(words[1] ?? ''), Number(words[2]), Number(words[3]))),
  zero: (script, words) =>
    request(script, words, (client) => void client.discard('zero', VOLUMES.indexOf(words[1] ?? ''), Number(words[2]), Number(words[3]))),
  read: (script, words) =>
    request(script, words, (client) => void client.read(VOLUMES.indexOf(words[1] ?? ''), Number(words[2]), Number(words[3]))),
  flush: (script, words) => request(script, words, (client) => void client.flush()),
  crash: (script, [site = '', kind, silent]) =>
    script.crash(script.world.site(site), kind === 'process' ? 'process' : 'power', silent === 'silent'),
  start: (script, [site = '']) => script.start(script.world.site(site)),
  promote: (script, [site = '', force]) => script.promote(script.world.site(site), force === 'force'),
  demote: (script, [site = '']) => script.demote(script.world.site(site)),
  cut: (script, [a = '', b = '']) => script.world.cut(a, b),
  heal: (script, [a = '', b = '']) => (a === '' ? script.world.healAll() : script.world.heal(a, b)),
  reset: (script, [a = '', b = '']) => script.world.reset(a, b),
  stall: (script, [a = '', b = '', ms]) => {
    script.oracle.disturbedMs = script.world.nowMs + Number(ms);
    script.world.stall(a, b, Number(ms));
  },
  flip: (script, [a = '', b = '', bytes]) => script.world.flip(a, b, Number(bytes)),
  pause: (script, [site = '', ms]) => pause(script, script.world.site(site), Number(ms)),
  jump: (script, [site = '', ms]) => {
    const s = script.world.site(site);
    if (s.isUp) s.clock.wallOffsetMs += Number(ms);
  },
  fault: (script, [site = '', disk = '', kind, after, times]) => {
    const fault = { kind: kind as FaultKind, left: Number(after), times: Number(times ?? 1) };
    script.world.setFault(diskOf(script.world.site(site), disk), fault);
  },
  rot: (script, [site = '', disk = '', sector, bit]) => {
    if (disk === 'bitmaps') return rotBitmap(script, script.world.site(site), Number(sector), Number(bit));
    const target = diskOf(script.world.site(site), disk);
    script.world.tainted.add(site);
    script.world.count('fault rot');
    target.corrupt((Number(sector) * 512 + (Number(bit) % 512)) % target.sizeBytes, Number(bit) % 8);
  },
  disks: (script, [site = '', how = '']) => script.replaceDisks(script.world.site(site), how),
  snapshot: (script, [site = '']) => script.snapshot(script.world.site(site)),
};

function pause(script: Script, site: SimSite, ms: number): void {
  const { world, oracle } = script;
  if (!site.isUp || site.clock.isPaused) return;
  world.count('paused');
  oracle.disturbedMs = world.nowMs + ms;
  const { boots } = site;
  site.pause();
  world.clock.after(ms, () => {
    if (site.boots === boots && site.isUp) site.resume();
  });
}
