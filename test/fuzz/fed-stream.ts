// A byte stream that is fed by hand, in pieces of the test's choice: it gives the receiver's memory as many bytes as fit, as a socket does.

import type { ByteStream } from '../../src/link/ports.js';
import { judge } from './harness.js';
import { pieces } from './mutate.js';

export class FedStream implements ByteStream {
  readonly remote = '127.0.0.1:1';
  /** What was written, as one copy per write. */
  readonly written: Uint8Array[] = [];
  isDestroyed = false;
  #isPaused = false;
  #target: () => Uint8Array = () => new Uint8Array(0);
  #received: (length: number) => void = () => undefined;
  #closed: (error: Error | undefined) => void = () => undefined;
  /** Called when the receiver has paused the stream: it must make it go on again. */
  onPaused: (() => void) | undefined;

  write(parts: readonly Uint8Array[], sent: (() => void) | undefined): boolean {
    judge(!this.isDestroyed, 'nothing is written to a stream that was destroyed');
    this.written.push(Buffer.concat(parts));
    if (sent !== undefined) queueMicrotask(sent);
    return true;
  }

  onReceive(target: () => Uint8Array, received: (length: number) => void): void {
    this.#target = target;
    this.#received = received;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  onDrain(): void {}

  onClose(fn: (error: Error | undefined) => void): void {
    this.#closed = fn;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** Delivers bytes in pieces of these sizes, until the receiver destroys the stream. */
  feed(bytes: Uint8Array, sizes: readonly number[]): void {
    for (const [start, end] of pieces(bytes.length, sizes)) {
      for (let at = start; at < end && !this.isDestroyed; ) {
        this.#goOn();
        if (this.isDestroyed) return;
        const memory = this.#target();
        judge(memory.length > 0, 'there is always memory for the next read');
        const length = Math.min(memory.length, end - at);
        memory.set(bytes.subarray(at, at + length));
        this.#received(length);
        at += length;
      }
    }
    this.#goOn();
  }

  /** Makes a paused receiver find its room. */
  #goOn(): void {
    for (let tries = 0; this.#isPaused && !this.isDestroyed; tries++) {
      judge(tries < 64 && this.onPaused !== undefined, 'a paused stream is resumed');
      this.onPaused?.();
    }
  }

  /** The other end has closed. */
  end(): void {
    if (!this.isDestroyed) this.#closed(undefined);
  }
}
