// Which regions of each volume one site may lack: three bits a region, kept as bitmaps.
//
//   dirty    the site may lack what stands in the region
//   pending  and no copy of the region as it is now has begun
//   copying  a copy of it is under way
//
// Owner: whoever tracks the site by bitmap. Pending is a subset of dirty at any time, and what is dirty but not pending is being copied. A
// copy takes the region (not pending any more), reads it, and is done when the site has said that the content is durable there: the region
// is clean then, unless something marked it meanwhile. Two things make that safe. The order take, then read: a write that the read did not
// see marks the region after it was taken. And one copy of a region at a time: the answer to an older one cannot pass for that to a newer
// one. A third thing is up to the caller: that the superblock says "started" durably before the first done() (see disk/bitmap-store.ts).
//
// What of a pending region is to be copied is known in parts (region-parts.ts), for as long as this process lives.
//
// Pages are the unit of the store (format/bitmap-page.ts): DIRTY_PAGE_BYTES of dirty bits, numbered over all volumes; every volume begins a
// new page. Region r of a volume is bit r % 8 of byte floor(r / 8).

import { assert } from './assert.js';
import { BLOCK_BYTES, KIB, MIB, VOLUMES_PER_GROUP_MAX } from './limits.js';
import { RegionParts } from './region-parts.js';

/** Bytes of dirty bits in a page: what a block of 4 KiB holds beside its header. */
export const DIRTY_PAGE_BYTES = BLOCK_BYTES - 64;
export const REGION_BYTES_MIN = BLOCK_BYTES;
export const REGION_BYTES_DEFAULT = 64 * KIB;
export const REGION_BYTES_MAX = 4 * MIB;
/** Bits are counted in 32-bit integers: 8 TiB a volume with the smallest region, 128 TiB with the default one. */
export const REGIONS_PER_VOLUME_MAX = 2 ** 31 - 1;

/** Number of bits that are set in a byte. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let rest = byte; rest > 0; rest &= rest - 1) ones++;
  return ones;
});

/** True for what a region may be: a power of two from REGION_BYTES_MIN to REGION_BYTES_MAX. */
export function isRegionBytes(bytes: number): boolean {
  return Number.isInteger(bytes) && bytes >= REGION_BYTES_MIN && bytes <= REGION_BYTES_MAX && (bytes & (bytes - 1)) === 0;
}

/** Pages that the bits of these volumes take; a volume has at least one. */
export function dirtyPages(volumeBytes: readonly number[], regionBytes: number): number {
  return volumeBytes.reduce((sum, bytes) => sum + pagesOf(Math.ceil(bytes / regionBytes)), 0);
}

function pagesOf(regions: number): number {
  return Math.max(1, Math.ceil(regions / (8 * DIRTY_PAGE_BYTES)));
}

/** The bits of one volume. */
class VolumeBits {
  readonly regions: number;
  readonly firstPage: number;
  readonly pages: number;
  readonly dirty: Uint8Array;
  readonly pending: Uint8Array;
  readonly copying: Uint8Array;
  /** The memory of `pending` again, to skip 32 clear bits at once. */
  readonly pendingWords: Uint32Array;
  readonly parts: RegionParts;
  /** Bytes that the last region lacks to a whole one. */
  readonly missingBytes: number;

  constructor(bytes: number, regionBytes: number, firstPage: number) {
    this.regions = Math.ceil(bytes / regionBytes);
    assert(this.regions <= REGIONS_PER_VOLUME_MAX, 'the regions of a volume can be counted');
    this.firstPage = firstPage;
    this.pages = pagesOf(this.regions);
    this.dirty = new Uint8Array(this.pages * DIRTY_PAGE_BYTES);
    this.pending = new Uint8Array(this.pages * DIRTY_PAGE_BYTES);
    this.copying = new Uint8Array(this.pages * DIRTY_PAGE_BYTES);
    this.pendingWords = new Uint32Array(this.pending.buffer);
    this.parts = new RegionParts(regionBytes, 8 * DIRTY_PAGE_BYTES);
    this.missingBytes = this.regions * regionBytes - bytes;
  }
}

export class DirtyMap {
  readonly regionBytes: number;
  readonly pageCount: number;
  readonly #volumes: readonly VolumeBits[];
  /** Volume of each page. */
  readonly #volumeOfPage: readonly VolumeBits[];
  /** 1 for the pages in #changedPages. */
  readonly #isChanged: Uint8Array;
  #changedPages: number[] = [];
  #dirtyRegions = 0;
  #pendingRegions = 0;
  /** Parts of pending regions that need not be copied. */
  #sparedParts = 0;

  /** Nothing is dirty. `volumeBytes`: the size of each volume of the group, in the order of their indexes. */
  constructor(volumeBytes: readonly number[], regionBytes: number) {
    assert(isRegionBytes(regionBytes), 'a region is a power of two from 4 KiB to 4 MiB');
    assert(volumeBytes.length <= VOLUMES_PER_GROUP_MAX, 'a group has no more volumes');
    this.regionBytes = regionBytes;
    let page = 0;
    this.#volumes = volumeBytes.map((bytes) => {
      const volume = new VolumeBits(bytes, regionBytes, page);
      page += volume.pages;
      return volume;
    });
    this.pageCount = page;
    this.#volumeOfPage = this.#volumes.flatMap((volume) => new Array<VolumeBits>(volume.pages).fill(volume));
    this.#isChanged = new Uint8Array(page);
  }

  get dirtyRegions(): number {
    return this.#dirtyRegions;
  }

  get pendingRegions(): number {
    return this.#pendingRegions;
  }

  /** Bytes in dirty regions; the last region of a volume counts as long as it is. */
  get dirtyBytes(): number {
    let bytes = this.#dirtyRegions * this.regionBytes;
    for (const volume of this.#volumes) if (hasBit(volume.dirty, volume.regions - 1)) bytes -= volume.missingBytes;
    return bytes;
  }

  /** Bytes that are to be copied as far as no copy of them has begun; no more than a region a volume too many. */
  get pendingBytes(): number {
    return this.#pendingRegions * this.regionBytes - this.#sparedParts * this.partBytes;
  }

  /** Number of regions of a volume. */
  regions(volume: number): number {
    return this.#volume(volume).regions;
  }

  /** The site lacks what was written to [offset, offset + length). Called for every applied record: a few operations. */
  mark(volume: number, offset: number, length: number): void {
    if (length === 0) return;
    const bits = this.#volume(volume);
    const first = Math.floor(offset / this.regionBytes);
    const last = Math.floor((offset + length - 1) / this.regionBytes);
    assert(offset >= 0 && last < bits.regions, 'what is marked lies inside the volume');
    this.#sparedParts += bits.parts.mark(bits.pending, offset, length);
    const firstByte = first >> 3;
    const lastByte = last >> 3;
    const head = (0xff << (first & 7)) & 0xff;
    const tail = 0xff >> (7 - (last & 7));
    if (firstByte === lastByte) {
      this.#set(bits, firstByte, head & tail);
      return;
    }
    this.#set(bits, firstByte, head);
    for (let at = firstByte + 1; at < lastByte; at++) this.#set(bits, at, 0xff);
    this.#set(bits, lastByte, tail);
  }

  /** The site may lack everything. */
  markAll(): void {
    for (let page = 0; page < this.pageCount; page++) this.markPage(page);
  }

  isDirty(volume: number, region: number): boolean {
    return hasBit(this.#at(volume, region).dirty, region);
  }

  /** The site may lack something of [offset, offset + length), length > 0. */
  isDirtyIn(volume: number, offset: number, length: number): boolean {
    const last = Math.floor((offset + length - 1) / this.regionBytes);
    for (let region = Math.floor(offset / this.regionBytes); region <= last; region++) if (this.isDirty(volume, region)) return true;
    return false;
  }

  /** The first region of the volume from `fromRegion` on that is pending and not being copied; -1: there is none. */
  nextPending(volume: number, fromRegion: number): number {
    const { pending, copying, pendingWords, regions } = this.#volume(volume);
    if (fromRegion >= regions) return -1;
    const end = (regions + 7) >> 3;
    let at = fromRegion >> 3;
    let byte = (pending[at] as number) & ~(copying[at] as number) & (0xff << (fromRegion & 7));
    while (byte === 0) {
      at++;
      while ((at & 3) === 0 && at < end && pendingWords[at >> 2] === 0) at += 4;
      if (at >= end) return -1;
      byte = (pending[at] as number) & ~(copying[at] as number);
    }
    return at * 8 + 31 - Math.clz32(byte & -byte);
  }

  /** Size of the parts of a region. */
  get partBytes(): number {
    return this.#volume(0).parts.partBytes;
  }

  /** True when all parts of a pending region are to be copied. */
  isWhole(volume: number, region: number): boolean {
    return this.#at(volume, region).parts.isWhole(region);
  }

  /**
   * A copy of a region that nextPending() gave begins: it is not pending any more, unless it is marked again. Call before it is read.
   * Returns the parts that are to be copied, bit i for bytes [i, i + 1) x partBytes of the region.
   */
  take(volume: number, region: number): number {
    const { pending, copying, parts } = this.#at(volume, region);
    assert(hasBit(pending, region) && !hasBit(copying, region), 'a copy begins of what is pending, and one at a time');
    const mask = parts.take(region);
    clearBit(pending, region);
    setBit(copying, region);
    this.#pendingRegions--;
    this.#sparedParts -= parts.spared(mask);
    return mask;
  }

  /** What was read after take() is durable at the site. True when the region became clean: nothing marked it since it was taken. */
  done(volume: number, region: number): boolean {
    const bits = this.#at(volume, region);
    if (!hasBit(bits.copying, region)) return false;
    clearBit(bits.copying, region);
    if (hasBit(bits.pending, region)) return false;
    clearBit(bits.dirty, region);
    this.#dirtyRegions--;
    this.#change(bits, region >> 3);
    return true;
  }

  /** A session has ended: whatever was taken and is not done has to be copied again. Answers that still come are for nothing. */
  retryAll(): void {
    for (const { dirty, pending, copying, parts } of this.#volumes) {
      this.#sparedParts += parts.retry(pending, copying);
      pending.set(dirty);
      copying.fill(0);
    }
    this.#pendingRegions = this.#dirtyRegions;
  }

  // ---- Pages, for the store ----

  /** Pages in which a dirty bit changed since the last call, ascending; they count as unchanged from now on. */
  takeChangedPages(): number[] {
    const pages = this.#changedPages.sort((a, b) => a - b);
    this.#changedPages = [];
    for (const page of pages) this.#isChanged[page] = 0;
    return pages;
  }

  /** The dirty bits of a page, DIRTY_PAGE_BYTES of them: the memory of the map itself, only to be read. */
  pageBits(page: number): Uint8Array {
    const { dirty, firstPage } = this.#ofPage(page);
    const start = (page - firstPage) * DIRTY_PAGE_BYTES;
    return dirty.subarray(start, start + DIRTY_PAGE_BYTES);
  }

  /** Adds the regions whose bits are set in bytes[start, start + DIRTY_PAGE_BYTES), which become dirty and pending. */
  mergePage(page: number, bytes: Uint8Array, start: number): void {
    const bits = this.#ofPage(page);
    const base = (page - bits.firstPage) * DIRTY_PAGE_BYTES;
    for (let i = 0; i < DIRTY_PAGE_BYTES; i++) {
      const mask = bytes[start + i] as number;
      if (mask !== 0) this.#setWhole(bits, base + i, mask & usedBits(bits, base + i));
    }
  }

  /** Every region of a page becomes dirty and pending. */
  markPage(page: number): void {
    const bits = this.#ofPage(page);
    const base = (page - bits.firstPage) * DIRTY_PAGE_BYTES;
    for (let i = 0; i < DIRTY_PAGE_BYTES; i++) this.#setWhole(bits, base + i, usedBits(bits, base + i));
  }

  /** The page counts as changed although none of its bits did: what stands of it in the store is not right. */
  touchPage(page: number): void {
    const bits = this.#ofPage(page);
    this.#change(bits, (page - bits.firstPage) * DIRTY_PAGE_BYTES);
  }

  /** The same for regions as a whole. */
  #setWhole(bits: VolumeBits, at: number, mask: number): void {
    this.#sparedParts += bits.parts.markByte(bits.pending, at, mask);
    this.#set(bits, at, mask);
  }

  /** Sets bits in one byte of both bitmaps. */
  #set(bits: VolumeBits, at: number, mask: number): void {
    const pending = bits.pending[at] as number;
    if ((pending & mask) === mask) return;
    bits.pending[at] = pending | mask;
    this.#pendingRegions += ONES[mask & ~pending] as number;
    const dirty = bits.dirty[at] as number;
    if ((dirty & mask) === mask) return;
    bits.dirty[at] = dirty | mask;
    this.#dirtyRegions += ONES[mask & ~dirty] as number;
    this.#change(bits, at);
  }

  #change(bits: VolumeBits, byte: number): void {
    const page = bits.firstPage + Math.floor(byte / DIRTY_PAGE_BYTES);
    if (this.#isChanged[page] === 1) return;
    this.#isChanged[page] = 1;
    this.#changedPages.push(page);
  }

  #volume(volume: number): VolumeBits {
    const bits = this.#volumes[volume];
    assert(bits !== undefined, 'the volume exists');
    return bits;
  }

  #at(volume: number, region: number): VolumeBits {
    const bits = this.#volume(volume);
    assert(region >= 0 && region < bits.regions, 'the region lies inside the volume');
    return bits;
  }

  #ofPage(page: number): VolumeBits {
    const bits = this.#volumeOfPage[page];
    assert(bits !== undefined, 'the page exists');
    return bits;
  }
}

/** The bits of a byte that stand for regions; those behind the last region of a volume stay clear. */
function usedBits({ regions }: VolumeBits, byte: number): number {
  const left = regions - byte * 8;
  return left >= 8 ? 0xff : left <= 0 ? 0 : 0xff >> (8 - left);
}

function hasBit(bytes: Uint8Array, bit: number): boolean {
  return bit >= 0 && ((bytes[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
}

function setBit(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
}

function clearBit(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) & ~(1 << (bit & 7));
}
