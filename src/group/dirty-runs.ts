// What a resync copies next: pieces of the regions that a bitmap says are to be copied, in ascending order, pass after pass.

import type { DirtyMap } from '../core/dirty-map.js';
import { RECORD_PAYLOAD_BYTES_MAX, RESYNC_ZERO_BYTES_MAX } from '../core/limits.js';
import type { Device } from '../core/ports.js';
import type { RegionMeta } from '../format/frame.js';

/** A piece, and the regions [first, end) that are copied when it and all before it are durable at the other site. */
export type DirtyRun = { readonly meta: RegionMeta; readonly first: number; readonly end: number };

export class DirtyRuns {
  readonly #map: DirtyMap;
  readonly #devices: readonly Device[];
  #volume = 0;
  #region = 0;
  /** What a region that is taken still has to send. */
  readonly #rest: DirtyRun[] = [];

  constructor(map: DirtyMap, devices: readonly Device[]) {
    this.#map = map;
    this.#devices = devices;
  }

  /** The next piece; undefined when nothing waits to be copied. The copy of its regions begins with this call. */
  next(): DirtyRun | undefined {
    const next = this.#rest.shift() ?? this.#nextRun();
    if (next === undefined) return undefined;
    const { meta, first } = next;
    const length = meta.isZero ? meta.length : Math.min(meta.length, RECORD_PAYLOAD_BYTES_MAX);
    if (length === meta.length) return next;
    this.#rest.unshift({ ...next, meta: { ...meta, offset: meta.offset + length, length: meta.length - length } });
    return { meta: { ...meta, length }, first, end: first };
  }

  /** The parts of a region that are to be copied; its copy begins with this call. The region is copied when the last piece is. */
  #nextParts(volume: number, region: number): DirtyRun {
    const map = this.#map;
    const { sizeBytes } = this.#devices[volume] as Device;
    const mask = map.take(volume, region);
    const start = region * map.regionBytes;
    for (let part = 0; mask >> part !== 0; ) {
      const from = start + part * map.partBytes;
      let parts = 0;
      while (((mask >> (part + parts)) & 1) === 1) parts++;
      part += Math.max(parts, 1);
      const length = Math.min(from + parts * map.partBytes, sizeBytes) - from;
      if (parts > 0) this.#rest.push({ meta: { volume, offset: from, length, isZero: false, crc: 0 }, first: region, end: region });
    }
    const last = this.#rest.pop() as DirtyRun;
    this.#rest.push({ ...last, end: region + 1 });
    return this.#rest.shift() as DirtyRun;
  }

  /** The next run of pending regions, one of them or a piece long; their copy begins with this call. Holes travel as long ranges. */
  #nextRun(): DirtyRun | undefined {
    const map = this.#map;
    const devices = this.#devices;
    for (let tried = 0; tried <= devices.length; tried++) {
      const volume = this.#volume;
      const first = map.nextPending(volume, this.#region);
      if (first < 0) {
        this.#volume = (volume + 1) % devices.length;
        this.#region = 0;
        continue;
      }
      if (!map.isWhole(volume, first)) {
        this.#region = first + 1;
        return this.#nextParts(volume, first);
      }
      const device = devices[volume] as Device;
      const offset = first * map.regionBytes;
      const run = device.extents(offset, Math.min(RESYNC_ZERO_BYTES_MAX, device.sizeBytes - offset), 1)[0];
      const isHole = run?.zero === true && run.length >= Math.min(map.regionBytes, device.sizeBytes - offset);
      const lengthMax = isHole ? run.length : Math.max(RECORD_PAYLOAD_BYTES_MAX, map.regionBytes);
      let end = first;
      const fits = (): boolean => Math.min((end + 1) * map.regionBytes, device.sizeBytes) - offset <= lengthMax;
      while (map.nextPending(volume, end) === end && map.isWhole(volume, end) && fits()) map.take(volume, end++);
      this.#region = end;
      const length = Math.min(end * map.regionBytes, device.sizeBytes) - offset;
      return { meta: { volume, offset, length, isZero: isHole, crc: 0 }, first, end };
    }
    return undefined;
  }
}
