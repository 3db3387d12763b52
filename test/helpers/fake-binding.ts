// The other side of an IoEngine under a test's control, and a target that notes what it is told.

import type { IoTarget } from '../../src/core/ports.js';
import { CQ_ROW, type EngineBinding, type EngineKind, type NativeEngine, SQ_ROW } from '../../src/disk/native.js';

/** Collects results by tag and wakes whoever waits for a count. */
export class Results implements IoTarget {
  readonly byTag = new Map<number, number>();
  readonly order: number[] = [];
  #wanted = Number.POSITIVE_INFINITY;
  #wake: (() => void) | undefined;

  ioDone(tag: number, error: number): void {
    this.byTag.set(tag, error);
    this.order.push(tag);
    if (this.order.length >= this.#wanted) this.#wake?.();
  }

  async until(count: number): Promise<void> {
    if (this.order.length >= count) return;
    this.#wanted = count;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** An engine's other side under the test's control: rows are kept until complete() or answered at once by `inline`. */
export class FakeBinding implements EngineBinding {
  readonly rows: { op: number; fd: number; offset: number; address: number; length: number; token: number }[] = [];
  readonly submits: number[] = [];
  inline: ((row: { op: number; length: number }) => number | undefined) | undefined;
  #sq: Float64Array = new Float64Array(0);
  #cq: Float64Array = new Float64Array(0);
  #onDone: (pairs: number) => void = () => {};

  openEngine(
    _kind: EngineKind,
    _depth: number,
    _workers: number,
    sq: Float64Array,
    cq: Float64Array,
    onDone: (pairs: number) => void,
  ): NativeEngine {
    this.#sq = sq;
    this.#cq = cq;
    this.#onDone = onDone;
    return {} as NativeEngine;
  }

  submit(_engine: NativeEngine, count: number): number {
    this.submits.push(count);
    let pairs = 0;
    for (let i = 0; i < count; i++) {
      const [op, fd, offset, address, length, token] = this.#sq.subarray(i * SQ_ROW, i * SQ_ROW + 6) as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const row = { op, fd, offset, address, length, token };
      const result = this.inline?.(row);
      if (result === undefined) this.rows.push(row);
      else this.#put(pairs++, token, result);
    }
    return pairs;
  }

  closeEngine(): void {}

  /** Completes the oldest rows with these results, in one wake-up. */
  complete(...results: number[]): void {
    results.forEach((result, i) => {
      this.#put(i, this.rows.shift()?.token ?? -1, result);
    });
    this.#onDone(results.length);
  }

  #put(pair: number, token: number, result: number): void {
    this.#cq[pair * CQ_ROW] = token;
    this.#cq[pair * CQ_ROW + 1] = result;
  }
}
