// What a simulated process has of the world that ends with it: its clock, and its streams.

import type { Clock } from '../core/ports.js';
import type { ByteStream, Network } from '../link/ports.js';
import type { MemoryNetwork, MemoryStream } from './network.js';

/** What the streams of a process need of their world. */
export interface ProcessWorld {
  readonly network: MemoryNetwork;
  nameOf(port: number): string;
  /** Resolves when a connection may be made; rejects when it cannot. */
  route(from: string, to: string, timeoutMs: number): Promise<void>;
}

/** The clock of one process: silent after its end, late after a pause, with a rate and a wall time of its own. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  isDead = false;
  isPaused = false;
  /** Seconds of this process per second of the world. */
  rate = 1;
  wallOffsetMs = 0;
  #held: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs() * this.rate;
  }

  wallMs(): number {
    return Math.max(0, this.#clock.wallMs() * this.rate + this.wallOffsetMs);
  }

  after(ms: number, fn: () => void): { cancel(): void } {
    let isCancelled = false;
    const timer = this.#clock.after(ms / this.rate, () => {
      this.run(() => {
        if (!isCancelled) fn();
      });
    });
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  soon(fn: () => void): void {
    this.#clock.soon(() => this.run(fn));
  }

  /** Runs `fn` in the process: now, when it goes on, or never. */
  run(fn: () => void): void {
    if (this.isDead) return;
    if (this.isPaused) this.#held.push(fn);
    else fn();
  }

  /** Ends a pause: everything that fell due is run. */
  resume(): void {
    this.isPaused = false;
    for (const fn of this.#held.splice(0)) this.run(fn);
  }
}

/** The streams of one process, cut at its end. */
export class ProcessNetwork implements Network {
  readonly #world: ProcessWorld;
  readonly #name: string;
  readonly #clock: ProcessClock;
  readonly #streams: MemoryStream[] = [];
  readonly #listening: { close(): Promise<void> }[] = [];
  isDead = false;

  constructor(world: ProcessWorld, name: string, clock: ProcessClock) {
    this.#world = world;
    this.#name = name;
    this.#clock = clock;
  }

  async connect(host: string, port: number, timeoutMs: number): Promise<ByteStream> {
    if (this.isDead) return new Promise(() => {});
    const to = this.#world.nameOf(port);
    await this.#world.route(this.#name, to, timeoutMs);
    if (this.isDead) return new Promise(() => {});
    const stream = await this.#world.network.connect(host, port, timeoutMs, this.#name, to);
    this.#add(stream);
    return stream;
  }

  async listen(host: string, port: number, accepted: (stream: ByteStream) => void): Promise<{ port: number; close(): Promise<void> }> {
    const listening = await this.#world.network.listen(host, port, (stream) => {
      this.#add(stream);
      this.#clock.run(() => accepted(stream));
    });
    this.#listening.push(listening);
    return listening;
  }

  #add(stream: MemoryStream): void {
    stream.isFrozen = this.#clock.isPaused;
    for (let i = this.#streams.length - 1; i >= 0; i--) if (this.#streams[i]?.isOpen === false) this.#streams.splice(i, 1);
    this.#streams.push(stream);
  }

  freeze(): void {
    for (const stream of this.#streams) stream.isFrozen = true;
  }

  thaw(): void {
    for (const stream of this.#streams) stream.thaw();
  }

  /** `silently`: nobody is told, as when the power goes; the streams are returned, to be reset when the machine is back. */
  end(silently: boolean): readonly MemoryStream[] {
    this.isDead = true;
    for (const listening of this.#listening) void listening.close();
    for (const stream of this.#streams) {
      stream.onClose(() => {});
      if (silently) stream.vanish();
      else stream.cut();
    }
    return this.#streams;
  }
}
