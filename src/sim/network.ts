// A network in memory. Bytes are delivered in pieces of any size, and a stream can be cut after any byte, fall silent in one direction, or
// go on delivering what was sent before it was closed.

import type { ByteStream, Network } from '../link/ports.js';

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
  /** The process at this end is not running: nothing is delivered to it. */
  isFrozen = false;
  /** Names of the machines at this end and at the other one, if the network was told. */
  readonly from: string;
  readonly to: string;
  /** What was sent before the close is still on its way. */
  #isLingering = false;

  constructor(network: MemoryNetwork, remote: string, from: string, to: string) {
    this.#network = network;
    this.remote = remote;
    this.from = from;
    this.to = to;
  }

  write(pieces: readonly Uint8Array[], sent: (() => void) | undefined): boolean {
    if (this.#ended !== 'open') return false;
    for (const [i, bytes] of pieces.entries()) {
      this.#unsent.push({ bytes, sent: i === pieces.length - 1 ? sent : undefined });
      this.#unsentBytes += bytes.length;
    }
    this.#network.onActivity?.(this);
    // Once full it stays full until the drain, as with sockets.
    if (this.#unsentBytes >= this.#network.unsentBytesMax) this.#isFull = true;
    return this.#unsentBytes < this.#network.unsentBytesMax;
  }

  onReceive(target: () => Uint8Array, received: (length: number) => void): void {
    this.#target = target;
    this.#received = received;
    this.#memory = undefined;
    this.#network.onActivity?.(this.other);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#network.onActivity?.(this.other);
  }

  /** The process at this end runs again. */
  thaw(): void {
    this.isFrozen = false;
    this.#network.onActivity?.(this.other);
    this.#network.onActivity?.(this);
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
    this.#isLingering = this.#unsent.length > 0 && this.#network.deliversLate();
    // The memory is the sender's again, so what is still delivered is a copy.
    this.#unsent = this.#isLingering ? this.#unsent.map(({ bytes }) => ({ bytes: bytes.slice(), sent: undefined })) : [];
    if (this.#isLingering) this.#network.onActivity?.(this);
    else this.#tellOther();
  }

  #tellOther(): void {
    this.other.#toldClosed = true;
    this.#network.onActivity?.(this.other);
  }

  /** This end is gone, and the other one is not told: its bytes go nowhere. */
  vanish(): void {
    if (this.#ended !== 'open') return;
    this.#ended = 'local';
    this.#unsent = [];
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
    if (this.#isLingering) return this.#stepLingering();
    if (this.#ended !== 'open') return false;
    const head = this.#unsent[0];
    const to = this.other;
    if (head === undefined || this.isSilent) return this.#closeIfTold();
    if (to.#ended !== 'open') {
      this.#unsent = [];
      return true;
    }
    if (to.#paused || to.isFrozen || to.#target === undefined) return false;
    this.#deliver(head, to);
    if (this.deliveredBytes >= this.cutAtBytes) this.cut();
    return true;
  }

  #stepLingering(): boolean {
    const head = this.#unsent[0];
    const to = this.other;
    if (to.#ended === 'open' && (to.#paused || to.isFrozen || this.isSilent || to.#target === undefined)) return false;
    if (to.#ended === 'open' && head !== undefined) {
      this.#deliver(head, to);
      this.#network.lateBytes++;
      return true;
    }
    this.#isLingering = false;
    this.#unsent = [];
    this.#tellOther();
    return true;
  }

  #deliver(head: { bytes: Uint8Array; sent: (() => void) | undefined }, to: MemoryStream): void {
    // The memory of the next read is taken when the read before it was delivered, as sockets do.
    const memory = to.#memory ?? (to.#target as () => Uint8Array)();
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
  }

  #closeIfTold(): boolean {
    if (!this.#toldClosed || this.other.isSilent || this.isFrozen) return false;
    this.#ended = 'remote';
    this.#close?.(undefined);
    return true;
  }
}

/** All streams of a test. */
export class MemoryNetwork implements Network {
  readonly #listeners = new Map<string, (stream: MemoryStream) => void>();
  readonly streams: MemoryStream[] = [];
  /** Size of the next piece that is delivered. */
  pieceBytes: () => number = () => 1 << 20;
  unsentBytesMax = 4 << 20;
  /** Called for every new connection, with the dialing end. */
  onConnect: ((dialer: MemoryStream) => void) | undefined;
  /** Addresses the ends see of each other. */
  address = '127.0.0.1';
  connects = 0;
  /** Called when a stream may have something to deliver (or to hear), for worlds that do not poll. */
  onActivity: ((stream: MemoryStream) => void) | undefined;
  /** Whether what a closed stream has sent is still delivered. */
  deliversLate: () => boolean = () => false;
  /** Deliveries of streams that were closed before. */
  lateBytes = 0;

  async connect(host: string, port: number, _timeoutMs: number, from = '', to = ''): Promise<MemoryStream> {
    this.connects++;
    await Promise.resolve();
    const accepted = this.#listeners.get(`${host}:${port}`);
    if (accepted === undefined) throw Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
    const dialer = new MemoryStream(this, `${this.address}:${port}`, from, to);
    const acceptor = new MemoryStream(this, `${this.address}:${50000 + this.connects}`, to, from);
    dialer.other = acceptor;
    acceptor.other = dialer;
    this.streams.push(dialer, acceptor);
    this.onConnect?.(dialer);
    accepted(acceptor);
    return dialer;
  }

  async listen(host: string, port: number, accepted: (stream: MemoryStream) => void): Promise<{ port: number; close(): Promise<void> }> {
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
