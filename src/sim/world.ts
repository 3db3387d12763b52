// The world of one simulated run: sites, the network between them, faults, virtual time. One seed decides everything that happens in it.
// What happened is summed up in a hash, so that two runs can be compared.

import { assert } from '../core/assert.js';
import { messageOf } from '../core/errors.js';
import { RESYNC_DEFAULTS } from '../core/group-config.js';
import type { Arena } from '../core/ports.js';
import { UndoStore } from '../disk/undo-store.js';
import { UNDO_UNIT_BYTES } from '../group/saved-content.js';
import type { SimDevice, SimDisk, SimOp, Verdict } from './disk.js';
import type { Knobs } from './knobs.js';
import { MemoryNetwork, type MemoryStream } from './network.js';
import { Random } from './random.js';
import { Scheduler } from './scheduler.js';
import { SimSite, type SiteWorld } from './site.js';

/** Names of the sites of a run. */
export const SITES = ['a', 'b', 'c', 'd', 'e'];
const PORT = 7001;
/** Slower than this is hung. */
const SLOWEST_MS = 30_000;

/** A fault of a device that waits for its operation. `left`: matching operations before it strikes; `times`: how often it strikes. */
export type DeviceFault = { readonly kind: FaultKind; left: number; times: number };

/** See `fault` in script.ts. */
export const FAULT_KINDS = [
  'eio',
  'eio-sticky',
  'enospc',
  'short',
  'hang',
  'slow',
  'flush-eio',
  'lost',
  'phantom',
  'misdirect',
  'rot',
] as const;
/** `read-eio`: reads alone fail, so many of them as the fault says; drawn apart from the others, see generate-reads.ts. */
export type FaultKind = (typeof FAULT_KINDS)[number] | 'read-eio';
/** Faults after which a site alone cannot know that something is missing: its own promises are void (docs/reliability.md). */
export const UNMASKABLE: readonly FaultKind[] = ['lost', 'phantom', 'misdirect', 'rot'];

// Arenas are shared by all runs of this process: content that an earlier run left in them must not matter.
const arenas = new Map<number, Arena[]>();

export class World implements SiteWorld {
  readonly clock = new Scheduler();
  readonly network = new MemoryNetwork();
  readonly random: Random;
  readonly knobs: Knobs;
  readonly sites: SimSite[];
  readonly arenas = arenas;
  /** Directions that deliver nothing: `from>to`. */
  readonly cuts = new Set<string>();
  /** Directions that deliver nothing until a time. */
  readonly #stalledUntil = new Map<string, number>();
  readonly #scheduled = new Set<MemoryStream>();
  readonly #streams = new Set<MemoryStream>();
  /** By disk path. */
  readonly #faults = new Map<string, DeviceFault>();
  readonly #hung = new Set<string>();
  /** Disks whose content was damaged or lost without an error, by site. */
  readonly tainted = new Set<string>();
  /** Sites of whose bitmaps pages were damaged. */
  readonly rottenBitmaps = new Set<string>();
  /** Sites to which a fault was reported: they may fail, loudly. */
  readonly faulted = new Set<string>();
  /** How often something happened. */
  readonly counts = new Map<string, number>();
  #hash = 0x811c9dc5;

  constructor(knobs: Knobs) {
    this.knobs = knobs;
    this.random = new Random(knobs.seed);
    const { random, network } = this;
    network.pieceBytes = () => (knobs.pieceBytes === 0 ? 1 << 20 : 1 + random.below(knobs.pieceBytes));
    network.deliversLate = () => random.chance(50);
    network.onActivity = (stream) => this.#pump(stream);
    network.onConnect = (dialer) => void this.#streams.add(dialer).add(dialer.other);
    this.sites = SITES.slice(0, knobs.sites).map((name) => new SimSite(this, name, this.#options(name)));
  }

  #options(name: string) {
    const { knobs } = this;
    const { writeCache, onDisconnect, logBytes, volumeBytes, ringBytes, regionBytes, logFull, undo, undoEntries } = knobs;
    return {
      role: name === 'a' ? ('primary' as const) : ('secondary' as const),
      sites: SITES.slice(0, knobs.sites).filter((site) => site !== name),
      modeOf: (site: string) => knobs.modes[SITES.indexOf(site)] ?? 'async',
      writeCache,
      onDisconnect,
      logBytes,
      volumeBytes,
      regionBytes,
      logFull,
      undo,
      resync: {
        maxRate: knobs.maxRate,
        minRate: Math.min(knobs.maxRate || RESYNC_DEFAULTS.minRate, RESYNC_DEFAULTS.minRate),
        minDwellMs: knobs.dwellMs,
        checksum: knobs.checksum,
      },
      ...(ringBytes > 0 ? { ringBytes } : {}),
      payloadBytes: knobs.payloadBytes,
      ...(undoEntries > 0 ? { undoBytes: UndoStore.sizeBytes(undoEntries, UNDO_UNIT_BYTES) } : {}),
    };
  }

  site(name: string): SimSite {
    const site = this.sites.find((s) => s.name === name);
    assert(site !== undefined, `there is a site ${name}`);
    return site;
  }

  get nowMs(): number {
    return this.clock.nowMs();
  }

  portOf(name: string): number {
    return PORT + SITES.indexOf(name);
  }

  nameOf(port: number): string {
    return SITES[port - PORT] ?? '';
  }

  /** Adds to the hash of this run. */
  trace(...values: readonly number[]): void {
    for (const value of values) this.#hash = Math.imul(this.#hash ^ (value | 0), 0x01000193) ^ (this.#hash >>> 15);
  }

  get hash(): number {
    return this.#hash >>> 0;
  }

  /** Volumes were copied to this site: what is damaged unnoticed at another one may be damaged here now. */
  copiedTo(site: SimSite): void {
    if (this.tainted.size > 0) this.tainted.add(site.name);
  }

  /** What clients of a site read may be damaged without an error: on its own disks, or on those of a site that was read instead. */
  mayReadDamage(site: SimSite): boolean {
    if (this.tainted.has(site.name)) return true;
    return this.tainted.size > 0 && site.isUp && site.group.status().volumes.some(({ remoteReads }) => remoteReads > 0);
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Lets time pass. */
  run(ms: number): Promise<void> {
    return this.clock.run(this.nowMs + ms);
  }

  /** The world is run by whoever waits for it (until()); here the work only goes on. */
  drive<Value>(work: Promise<Value>): Promise<Value> {
    return work;
  }

  /** Lets time pass until `work` has ended, or the limit is reached; false then. Its error is the caller's. */
  async until(work: Promise<unknown>, limitMs: number): Promise<boolean> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    await this.clock.run(this.nowMs + limitMs, () => isDone);
    return isDone;
  }

  // ---- network

  async route(from: string, to: string, timeoutMs: number): Promise<void> {
    const isOpen = (): boolean => !this.cuts.has(`${from}>${to}`) && !this.cuts.has(`${to}>${from}`);
    await this.#sleep(isOpen() ? this.#latencyMs() * 2 : timeoutMs);
    if (!isOpen()) throw Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }

  #latencyMs(): number {
    const { random, knobs } = this;
    return knobs.netMs * (0.5 + random.fraction()) * (random.chance(2) ? 20 : 1);
  }

  #pump(stream: MemoryStream): void {
    if (this.#scheduled.has(stream) || stream.isSilent) return;
    const direction = `${stream.from}>${stream.to}`;
    if (this.cuts.has(direction)) return;
    this.#scheduled.add(stream);
    const stalledMs = Math.max(0, (this.#stalledUntil.get(direction) ?? 0) - this.nowMs);
    this.clock.after(stalledMs + this.#latencyMs(), () => {
      this.#scheduled.delete(stream);
      if (this.cuts.has(direction)) return;
      this.trace(1, stream.deliveredBytes, this.nowMs * 1000);
      if (stream.step()) this.#pump(stream);
      else if (!stream.isOpen) this.#streams.delete(stream);
    });
  }

  /** Stops one direction; what is sent stays on its way. */
  cut(from: string, to: string): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(from: string, to: string): void {
    this.cuts.delete(`${from}>${to}`);
    for (const stream of this.#between(from, to)) this.#pump(stream);
  }

  healAll(): void {
    this.cuts.clear();
    this.#stalledUntil.clear();
    // A bit that has not been damaged yet is one no more.
    for (const stream of this.#streams) stream.flip = undefined;
    for (const stream of this.#streams) this.#pump(stream);
  }

  stall(from: string, to: string, ms: number): void {
    this.#stalledUntil.set(`${from}>${to}`, this.nowMs + ms);
  }

  /** Breaks the connections between two sites; both ends are told. */
  reset(a: string, b: string): void {
    for (const stream of this.#between(a, b)) stream.cut();
  }

  /** The next byte on its way from one site to another is damaged. */
  flip(from: string, to: string, after: number): void {
    for (const stream of this.#between(from, to)) stream.flip = { atByte: stream.deliveredBytes + after, bit: after % 8 };
  }

  #between(from: string, to: string): MemoryStream[] {
    return [...this.#streams].filter((stream) => stream.isOpen && stream.from === from && stream.to === to);
  }

  /** Set by who judges the run. */
  onOpened: ((site: SimSite) => void) | undefined;

  opened(site: SimSite): void {
    this.onOpened?.(site);
  }

  /** The operation of this number, of all disks, goes wrong; counted from the start of the world. */
  nth: { at: number; kind: FaultKind | 'torn' } | undefined;
  /** Operations so far, and before the faults ended. */
  operations = 0;
  operationsBeforeHealing = 0;
  /** Operations as they came, if wanted. */
  seen: SimOp[] | undefined;
  onTorn: ((site: SimSite) => void) | undefined;
  onReported: ((site: SimSite, event: string) => void) | undefined;

  reported(site: SimSite, event: string): void {
    this.onReported?.(site, event);
  }

  // ---- devices

  started(site: SimSite): void {
    const { clock, knobs, random } = this;
    const process = site.clock;
    process.rate = 1 + (knobs.driftPercent[SITES.indexOf(site.name)] ?? 0) / 100;
    for (const [i, device] of site.devices.entries()) {
      const baseMs = i === 0 ? (knobs.logMs[SITES.indexOf(site.name)] ?? 1) : knobs.volumeMs;
      device.timing = {
        after: (ms, fn) => clock.after(ms, fn),
        latencyMs: () =>
          Math.min(SLOWEST_MS, (baseMs * (0.2 + random.fraction()) + (random.chance(3) ? baseMs * 10 : 0)) * this.#slowness(device)),
        deliver: (fn) => {
          clock.isBusy = true;
          process.run(fn);
        },
      };
      device.intercept = (op) => this.#verdict(site, device, op);
    }
  }

  /** The operation `left` from now on of this disk goes wrong. */
  setFault(disk: SimDisk, fault: DeviceFault): void {
    this.#faults.set(disk.path, fault);
  }

  clearFaults(): void {
    this.nth = undefined;
    this.operationsBeforeHealing = this.operations;
    this.#faults.clear();
    this.#hung.clear();
  }

  isHung(disk: SimDisk): boolean {
    return this.#hung.has(disk.path);
  }

  /** Faults of a disk end with the process that met them, but for those that stay. */
  powerCycled(site: SimSite): void {
    for (const disk of site.disks) this.#hung.delete(disk.path);
  }

  #slowness(device: SimDevice): number {
    const fault = this.#faults.get(device.path);
    if (fault?.kind !== 'slow' || fault.left > 0) return 1;
    this.count('slow device');
    return 2000;
  }

  #verdict(site: SimSite, device: SimDevice, op: SimOp): Verdict {
    this.trace(2, op.offset / 512, this.nowMs * 1000);
    this.operations++;
    this.seen?.push(op);
    if (this.#hung.has(device.path)) return 'hang';
    if (this.nth !== undefined && this.operations === this.nth.at) return this.#strikeNth(site, device, op, this.nth.kind);
    const fault = this.#faults.get(device.path);
    if (fault === undefined || !concerns(fault.kind, op)) return 0;
    if (fault.left-- > 0) return 0;
    if (fault.kind === 'slow') {
      if (fault.times-- <= 0) this.#faults.delete(device.path);
      return 0;
    }
    if (fault.kind !== 'eio-sticky' && (fault.kind !== 'read-eio' || --fault.times <= 0)) this.#faults.delete(device.path);
    this.count(`fault ${fault.kind}`);
    return this.#strike(site, device, fault.kind);
  }

  #strikeNth(site: SimSite, device: SimDevice, op: SimOp, kind: FaultKind | 'torn'): Verdict {
    if (kind === 'torn') {
      // The power goes while this operation is under way.
      this.clock.after(0, () => this.onTorn?.(site));
      return 'hang';
    }
    return concerns(kind, op) ? this.#strike(site, device, kind) : 0;
  }

  #strike(site: SimSite, device: SimDevice, kind: FaultKind): Verdict {
    if (UNMASKABLE.includes(kind)) this.tainted.add(site.name);
    switch (kind) {
      case 'lost':
      case 'phantom':
      case 'misdirect':
        return kind;
      case 'hang':
        this.#hung.add(device.path);
        return 'hang';
      case 'slow':
      case 'rot':
        return 0;
      case 'short':
        this.faulted.add(site.name);
        return 'short';
      case 'enospc':
        this.faulted.add(site.name);
        return 28;
      case 'eio':
      case 'eio-sticky':
      case 'flush-eio':
      case 'read-eio':
        this.faulted.add(site.name);
        return 5;
    }
  }

  /** Gives the memory of the disks back. */
  end(): void {
    for (const site of this.sites) {
      if (site.boots > 0) site.crash('process');
      for (const disk of site.disks) disk.discard();
    }
  }
}

/** Whether a fault of this kind changes anything about this operation. */
export function concerns(kind: FaultKind, op: SimOp): boolean {
  if (kind === 'flush-eio') return op.kind === 'sync';
  if (kind === 'read-eio') return op.kind === 'read';
  if (kind === 'lost') return op.kind === 'sync' || op.durable;
  if (kind === 'eio' || kind === 'eio-sticky' || kind === 'hang' || kind === 'slow') return true;
  return op.kind === 'write' || op.kind === 'zero';
}

/** The first line of an error, for messages of a run. */
export function shortly(error: unknown): string {
  return messageOf(error).split('\n')[0] ?? '';
}
