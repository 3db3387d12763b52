// A network in memory, a clock that stands until it is moved, and the loop that runs both. Bytes are delivered in pieces of any size,
// and a stream can be cut after any byte.

import type { Clock, Timer } from '../../src/core/ports.js';
import type { ByteStream, Network } from '../../src/link/ports.js';

/** A clock for tests: time passes only in advance(). */
export class FakeClock implements Clock {
  #nowMs = 1000;
  #soon: (() => void)[] = [];
  #timers: { atMs: number; fn: () => void; cancelled: boolean }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(ms: number, fn: () => void): Timer {
    const timer = { atMs: this.#nowMs + ms, fn, cancelled: false };
    this.#timers.push(timer);
    return {
      cancel: () => {
        timer.cancelled = true;
      },
    };
  }

  soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  /** Runs what was put off to the end of the turn; true when there was something. */
  runSoon(): boolean {
    const due = this.#soon;
    this.#soon = [];
    for (const fn of due) fn();
    return due.length > 0;
  }

  /** The next timer's time, at most `limitMs`. */
  nextMs(limitMs: number): number {
    return this.#timers.reduce((next, timer) => (timer.cancelled ? next : Math.min(next, timer.atMs)), limitMs);
  }

  /** Moves time and runs what is due. */
  moveTo(nowMs: number): void {
    this.#nowMs = nowMs;
    const due = this.#timers.filter((timer) => timer.atMs <= nowMs && !timer.cancelled);
    this.#timers = this.#timers.filter((timer) => timer.atMs > nowMs && !timer.cancelled);
    for (const timer of due) if (!timer.cancelled) timer.fn();
  }
}

/** One end of a stream. */
export class MemoryStream implements ByteStream {
  readonly remote: string;
  readonly #network: MemoryNetwork;
  other!: MemoryStream;
  /** Bytes on the way to the other end. */
  #unsent: { bytes: Uint8Array; sent: (() => void) | undefined }[] = [];
  #unsentBytes = 0;
  #isFull = false;
  #target: (() => Uint8Array) | undefined;
  #received: ((length: number) => void) | undefined;
  #memory: Uint8Array | undefined;
  #drain: (() => void) | undefined;
  #close: ((error: Error | undefined) => void) | undefined;
  #paused = false;
  #ended: 'open' | 'local' | 'remote' = 'open';
  /** Bytes delivered to the other end so far. */
  deliveredBytes = 0;
  /** Deliveries to the other end stop here, and the stream breaks. */
  cutAtBytes = Number.POSITIVE_INFINITY;
  /** The byte at this place arrives with this bit changed. */
  flip: { atByte: number; bit: number } | undefined;
  /** Nothing is delivered to the other end, and nobody notices. */
  isSilent = false;

  constructor(network: MemoryNetwork, remote: string) {
    this.#network = network;
    this.remote = remote;
  }

  write(pieces: readonly Uint8Array[], sent: (() => void) | undefined): boolean {
    if (this.#ended !== 'open') return false;
    for (const [i, bytes] of pieces.entries()) {
      this.#unsent.push({ bytes, sent: i === pieces.length - 1 ? sent : undefined });
      this.#unsentBytes += bytes.length;
    }
    // Once full it stays full until the drain, as with sockets.
    if (this.#unsentBytes >= this.#network.unsentBytesMax) this.#isFull = true;
    return this.#unsentBytes < this.#network.unsentBytesMax;
  }

  onReceive(target: () => Uint8Array, received: (length: number) => void): void {
    this.#target = target;
    this.#received = received;
    this.#memory = undefined;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  onDrain(fn: () => void): void {
    this.#drain = fn;
  }

  onClose(fn: (error: Error | undefined) => void): void {
    this.#close = fn;
  }

  destroy(): void {
    if (this.#ended !== 'open') return;
    this.#ended = 'local';
    this.#unsent = [];
    this.other.#toldClosed = true;
  }

  #toldClosed = false;

  /** Breaks the stream for both ends. */
  cut(): void {
    for (const end of [this, this.other]) {
      if (end.#ended !== 'open') continue;
      end.#ended = 'remote';
      end.#unsent = [];
      end.#close?.(new Error('connection reset'));
    }
  }

  get isOpen(): boolean {
    return this.#ended === 'open';
  }

  /** Delivers at most one piece to the other end. True when something happened. */
  step(): boolean {
    if (this.#ended !== 'open') return false;
    const head = this.#unsent[0];
    const to = this.other;
    if (head === undefined || this.isSilent) return this.#closeIfTold();
    if (to.#ended !== 'open') {
      this.#unsent = [];
      return true;
    }
    if (to.#paused || to.#target === undefined) return false;
    // The memory of the next read is taken when the read before it was delivered, as sockets do.
    const memory = to.#memory ?? to.#target();
    const length = Math.min(this.#network.pieceBytes(), head.bytes.length, memory.length, this.cutAtBytes - this.deliveredBytes);
    if (length > 0) {
      memory.set(head.bytes.subarray(0, length));
      const flipAt = this.flip === undefined ? -1 : this.flip.atByte - this.deliveredBytes;
      if (flipAt >= 0 && flipAt < length) memory[flipAt] = (memory[flipAt] as number) ^ (1 << (this.flip?.bit as number));
      this.deliveredBytes += length;
      this.#unsentBytes -= length;
      head.bytes = head.bytes.subarray(length);
      if (head.bytes.length === 0) {
        this.#unsent.shift();
        head.sent?.();
      }
      to.#received?.(length);
      to.#memory = to.#ended === 'open' ? to.#target?.() : undefined;
      if (this.#isFull && this.#unsentBytes === 0) {
        this.#isFull = false;
        this.#drain?.();
      }
    }
    if (this.deliveredBytes >= this.cutAtBytes) this.cut();
    return true;
  }

  #closeIfTold(): boolean {
    if (!this.#toldClosed || this.other.isSilent) return false;
    this.#ended = 'remote';
    this.#close?.(undefined);
    return true;
  }
}

/** All streams of a test. */
export class MemoryNetwork implements Network {
  readonly #listeners = new Map<string, (stream: ByteStream) => void>();
  readonly streams: MemoryStream[] = [];
  /** Size of the next piece that is delivered. */
  pieceBytes: () => number = () => 1 << 20;
  unsentBytesMax = 4 << 20;
  /** Called for every new connection, with the dialing end. */
  onConnect: ((dialer: MemoryStream) => void) | undefined;
  /** Addresses the ends see of each other. */
  address = '127.0.0.1';
  connects = 0;

  async connect(host: string, port: number, _timeoutMs: number): Promise<ByteStream> {
    this.connects++;
    await Promise.resolve();
    const accepted = this.#listeners.get(`${host}:${port}`);
    if (accepted === undefined) throw Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
    const dialer = new MemoryStream(this, `${this.address}:${port}`);
    const acceptor = new MemoryStream(this, `${this.address}:${50000 + this.connects}`);
    dialer.other = acceptor;
    acceptor.other = dialer;
    this.streams.push(dialer, acceptor);
    this.onConnect?.(dialer);
    accepted(acceptor);
    return dialer;
  }

  async listen(host: string, port: number, accepted: (stream: ByteStream) => void): Promise<{ port: number; close(): Promise<void> }> {
    this.#listeners.set(`${host}:${port}`, accepted);
    return {
      port,
      close: async () => {
        this.#listeners.delete(`${host}:${port}`);
      },
    };
  }

  step(): boolean {
    let moved = false;
    for (const stream of this.streams) moved = stream.step() || moved;
    return moved;
  }
}

const ROUNDS_MAX = 1_000_000;

/** Runs everything that can happen without time passing. */
export async function settle(network: MemoryNetwork, clock: FakeClock): Promise<void> {
  let idle = 0;
  for (let round = 0; idle < 3; round++) {
    if (round > ROUNDS_MAX) throw new Error('the world does not come to rest');
    const moved = network.step();
    idle = clock.runSoon() || moved ? 0 : idle + 1;
    // Microtasks of a whole chain of promises run before an immediate.
    if (!moved) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Lets `ms` pass, timer by timer. */
export async function advance(network: MemoryNetwork, clock: FakeClock, ms: number): Promise<void> {
  const until = clock.nowMs() + ms;
  await settle(network, clock);
  while (clock.nowMs() < until) {
    clock.moveTo(clock.nextMs(until));
    await settle(network, clock);
  }
}
