// Reads that the device of a primary failed, answered with what another site has on its volume (on_io_error = "retry-remote").
//
// Why what comes back is never stale. At one instant, without a turn of the event loop in between, the overlay is laid over the piece and
// the LSN up to which everything is applied here is noted. A record that was admitted before that instant is in the overlay, or its batch
// has left it because it is on the volume here: then it is not behind that LSN. The site answers when it has applied that LSN. So each byte
// outside the overlay is as of that instant or later, and the instant lies between the arrival of the read and its answer. A record behind
// that LSN which the answer shows was admitted after that instant, while the read was under way, and was durable here before the site
// applied it: a later read finds it in the overlay or not behind its LSN. Records that were in the overlay win, as they were at that
// instant: laid over the answer when it comes, the overlay would lack what was applied here meanwhile, and the site need not have that.
// Every further attempt begins anew with an instant of its own.
//
// Not on the data path: a read gets here when its device has failed it. It keeps the memory it had, and a few of them run at once.

import type { LvrError } from '../core/errors.js';
import { LINK_READ_MS, LINK_READS_MAX, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { IoRequest, RequestOwner, Slab } from '../core/ports.js';
import type { SiteLink } from '../link/link.js';
import type { ReadOwner, Refusal, VolumeRead } from '../link/ports.js';
import type { Applier } from './applier.js';
import type { DeviceErrors, FaultyGroup } from './device-errors.js';
import { type Overlay, putSegment } from './overlay.js';
import type { FailedReads, Reads } from './reads.js';
import type { SiteBitmaps } from './site-bitmaps.js';
import type { SiteProgress, Sites } from './sites.js';

const EIO = 5;
const ESHUTDOWN = 108;

/** What this needs of its group. */
export interface ReadingGroup extends FaultyGroup {
  readonly failure: LvrError | undefined;
  readonly log: { readonly store: { readonly current: { readonly epoch: number } } };
  readonly overlay: Overlay;
  readonly reads: Reads;
  readonly applier: Applier;
  readonly sites: Sites;
  readonly links: ReadonlyMap<string, SiteLink>;
  readonly resyncs: { readonly bitmaps: SiteBitmaps };
  readonly deviceErrors: DeviceErrors;
}

/** A read that its device failed; it is answered with an error at `untilMs`. */
type FailedRead = { readonly volume: number; readonly request: IoRequest; readonly untilMs: number };
/** Bytes [start, end) of the volume, which go to `slab` from its start on. */
type Piece = { readonly volume: number; readonly slab: Slab; readonly start: number; readonly end: number };
/** A part of a piece that is not in the overlay. */
type Gap = { readonly start: number; readonly end: number };

export class RemoteReads implements FailedReads {
  readonly #group: ReadingGroup;
  #waiting: FailedRead[] = [];
  #running = 0;
  #stopped = false;

  constructor(group: ReadingGroup) {
    this.#group = group;
  }

  /** A log that failed takes nothing from the volumes, nor from the overlay. */
  get isOver(): boolean {
    const { failure } = this.#group;
    return failure !== undefined && failure.code !== 'LOG_FAILED';
  }

  partFailed(volume: number, errno: number): void {
    this.#group.deviceErrors.readFailed(volume, errno);
  }

  answer(volume: number, request: IoRequest): void {
    const { config, env, sites } = this.#group;
    const read = { volume, request, untilMs: env.clock.nowMs() + LINK_READ_MS };
    const isHopeless = config.onIoError !== 'retry-remote' || this.#stopped || !sites.all.some((site) => site.connected);
    if (isHopeless) return this.#end(read, EIO);
    this.#waiting.push(read);
    this.#next();
  }

  /** The client is gone: what waits gives its memory back. What runs ends by itself. */
  forget(client: RequestOwner): void {
    const isOf = ({ request }: FailedRead): boolean => request.owner === client;
    const forgotten = this.#waiting.filter(isOf);
    this.#waiting = this.#waiting.filter((read) => !isOf(read));
    for (const { request } of forgotten) this.#group.reads.release(request);
  }

  /** The links have ended, and nothing is asked for any more: what waits is answered. */
  stop(): void {
    this.#stopped = true;
    for (const read of this.#waiting.splice(0)) this.#end(read, ESHUTDOWN);
  }

  #next(): void {
    while (this.#running < LINK_READS_MAX) {
      const read = this.#waiting.shift();
      if (read === undefined) return;
      this.#running++;
      void this.#serve(read).then((errno) => {
        this.#running--;
        this.#end(read, errno);
        this.#next();
      });
    }
  }

  #end({ volume, request }: FailedRead, errno: number): void {
    if (errno !== 0) this.#group.deviceErrors.unanswered(volume);
    this.#group.reads.end(request, errno);
  }

  /** Puts all of a read into its slabs, piece by piece. Returns the errno to answer with. */
  async #serve({ volume, request, untilMs }: FailedRead): Promise<number> {
    const end = request.offset + request.length;
    for (const [i, slab] of request.slabs.entries()) {
      const start = request.offset + i * RECORD_PAYLOAD_BYTES_MAX;
      const piece = { volume, slab, start, end: Math.min(end, start + RECORD_PAYLOAD_BYTES_MAX) };
      if (!(await this.#servePiece(piece, untilMs))) return this.#stopped ? ESHUTDOWN : EIO;
    }
    return 0;
  }

  /** Asks one site after the other. They share the time that is left, so that a silent one does not take all of it. */
  async #servePiece(piece: Piece, untilMs: number): Promise<boolean> {
    const { env, deviceErrors } = this.#group;
    const tried = new Set<string>();
    for (;;) {
      const sites = this.#sitesFor(piece).filter((site) => !tried.has(site));
      const site = sites[0];
      const leftMs = untilMs - env.clock.nowMs();
      if (this.#stopped || leftMs <= 0 || site === undefined) return false;
      tried.add(site);
      const gaps = this.#layOverlay(piece);
      const [first, last] = [gaps[0], gaps.at(-1)];
      if (first === undefined || last === undefined) return true;
      const refusal = await this.#ask(site, piece, gaps, leftMs / sites.length);
      if (refusal === undefined) {
        deviceErrors.served(piece.volume, first.start, last.end - first.start, site);
        return true;
      }
      deviceErrors.refused(piece.volume, site, refusal);
    }
  }

  /** Sites that receive records and lack nothing of the piece that only a copy would bring; who has applied most comes first. */
  #sitesFor({ volume, start, end }: Piece): string[] {
    const { sites, resyncs } = this.#group;
    const isDirty = ({ config }: SiteProgress): boolean =>
      resyncs.bitmaps.mapOf(config.name)?.isDirtyIn(volume, start, end - start) === true;
    const able = sites.all.filter((site) => site.connected && !isDirty(site));
    return able.sort((a, b) => b.applied - a.applied).map(({ config }) => config.name);
  }

  /** Puts what the overlay has of a piece where it belongs; returns the rest. In one turn with #ask(). */
  #layOverlay({ volume, slab, start, end }: Piece): Gap[] {
    const gaps: Gap[] = [];
    let at = start;
    this.#group.overlay.visit(volume, start, end, {
      segment: (from, to, batch, base) => {
        if (from > at) gaps.push({ start: at, end: from });
        putSegment(slab.arena.bytes, slab.dataStart + (from - start), to - from, batch, base);
        at = to;
      },
    });
    if (at < end) gaps.push({ start: at, end });
    return PLANTED === 'remote-read-over-newer' && gaps.length > 0 ? [{ start, end }] : gaps;
  }

  /** Asks a site for the gaps of a piece, at most `ms` long. Resolves when they are filled, or with why they are not. */
  #ask(site: string, { volume, slab, start }: Piece, gaps: readonly Gap[], ms: number): Promise<Refusal | undefined> {
    const { env, log, applier, links } = this.#group;
    const offset = (gaps[0] as Gap).start;
    const length = (gaps.at(-1) as Gap).end - offset;
    const read: VolumeRead = { volume, offset, length, lsn: applier.appliedLsn, epoch: log.store.current.epoch };
    return new Promise((resolve) => {
      const timer = env.clock.after(ms, () => {
        cancel?.();
        resolve({ code: 'TIMEOUT', reason: `no answer within ${(ms / 1000).toFixed(1)} s` });
      });
      const end = (refusal: Refusal | undefined): void => {
        timer.cancel();
        resolve(refusal);
      };
      const owner: ReadOwner = {
        refused: end,
        content: (bytes, at, count, crc) => {
          if (count !== length || env.memory.crc32c(bytes, at, count) !== crc) {
            const reason = `the answer to a read of volume ${volume} at ${offset} is damaged`;
            end({ code: 'PROTOCOL', reason });
            return reason;
          }
          for (const gap of gaps) {
            const from = at + (gap.start - offset);
            slab.arena.bytes.set(bytes.subarray(from, from + (gap.end - gap.start)), slab.dataStart + (gap.start - start));
          }
          end(undefined);
          return undefined;
        },
      };
      const cancel = links.get(site)?.read(read, owner);
      if (cancel === undefined) end({ code: 'FAILED', reason: 'it receives no records now, or its version does not answer reads' });
    });
  }
}
