// Reads for the primary on a secondary: what the primary's own device cannot read. Owns the reads that wait, and their memory.
//
// What is answered is never older than what was asked for: all records up to the LSN of the read are on the volume before its device read
// begins. It may be newer: a record behind that LSN was admitted while the read was under way at the primary, or is laid over the answer
// there (group/remote-reads.ts). It is of the primary's history, and of one moment, only while this site follows it and its copy is
// consistent; that is looked at before the device is read and once more when it has been, because a join in between changes both.

import type { LvrError } from '../core/errors.js';
import { LINK_READ_MS, RECORD_PAYLOAD_BYTES_MAX } from '../core/limits.js';
import { PLANTED } from '../core/planted.js';
import type { Arena, Device } from '../core/ports.js';
import type { Log } from '../disk/log.js';
import { readDevice } from '../disk/promises.js';
import type { ReadAnswer, Refusal, VolumeRead } from '../link/ports.js';
import type { Applier } from './applier.js';
import type { DeviceErrors } from './device-errors.js';
import type { GroupEnv } from './env.js';
import type { ResyncTarget } from './resync-target.js';

/** Reads of the devices at once, each with memory of RECORD_PAYLOAD_BYTES_MAX, made with the first of them. */
const SLOTS = 4;

/** What this needs of its group. */
export interface ServingGroup {
  readonly name: string;
  readonly role: 'primary' | 'secondary';
  readonly changing: boolean;
  readonly joining: boolean;
  readonly env: GroupEnv;
  readonly log: Log;
  readonly devices: readonly Device[];
  readonly applier: Applier;
  readonly resyncs: { readonly target: ResyncTarget };
  readonly deviceErrors: DeviceErrors;
}

/** The primary has given it up at `untilMs` (own clock). */
type Waiting = { readonly read: VolumeRead; readonly answer: ReadAnswer; readonly untilMs: number };

export class ReadServer {
  readonly #group: ServingGroup;
  #arena: Arena | undefined;
  readonly #free: number[] = Array.from({ length: SLOTS }, (_, slot) => slot * RECORD_PAYLOAD_BYTES_MAX);
  /** In the order in which they came; the link bounds how many there are. */
  #waiting: Waiting[] = [];

  constructor(group: ServingGroup) {
    this.#group = group;
  }

  /** Answers a read when that may be, or says why not. Its extent is inside the volume, and at most RECORD_PAYLOAD_BYTES_MAX. */
  serve(read: VolumeRead, answer: ReadAnswer): void {
    this.#waiting.push({ read, answer, untilMs: this.#group.env.clock.nowMs() + LINK_READ_MS });
    this.#pump();
  }

  /** A position moved, or the copy here became consistent. */
  progressed(): void {
    if (this.#waiting.length > 0) this.#pump();
  }

  #pump(): void {
    const nowMs = this.#group.env.clock.nowMs();
    const { appliedLsn } = this.#group.applier;
    this.#waiting = this.#waiting.filter(({ read, answer, untilMs }) => {
      if (answer.isDropped) return false;
      const refusal =
        this.#refusalOf(read) ?? (nowMs >= untilMs ? { code: 'TIMEOUT', reason: `LSN ${read.lsn} is not applied` } : undefined);
      if (refusal !== undefined) {
        answer.refused(refusal);
        return false;
      }
      if (appliedLsn < read.lsn && PLANTED !== 'remote-read-too-early') return true;
      const slot = this.#free.pop();
      if (slot === undefined) return true;
      this.#start(read, answer, slot);
      return false;
    });
  }

  /** Why this site cannot answer for the primary that asks; undefined when it can. */
  #refusalOf(read: VolumeRead): Refusal | undefined {
    const { name, role, changing, joining, log, resyncs } = this.#group;
    const refuse = (code: string, why: string): Refusal => ({ code, reason: `group ${name}: ${why}` });
    if (log.failed !== undefined) return { code: log.failed.code, reason: log.failed.message };
    if (role !== 'secondary' || changing || joining) return refuse('ROLE', 'it is no secondary, or about to follow another primary');
    const { epoch } = log.store.current;
    if (epoch !== read.epoch) return refuse('ROLE', `its epoch is ${epoch}, not ${read.epoch}`);
    if (resyncs.target.isActive) return refuse('NOT_CONSISTENT', 'a resync is under way');
    return undefined;
  }

  #start(read: VolumeRead, answer: ReadAnswer, slot: number): void {
    const { memory } = this.#group.env;
    this.#arena ??= memory.createArena(SLOTS * RECORD_PAYLOAD_BYTES_MAX);
    const arena = this.#arena;
    const release = (): void => {
      this.#free.push(slot);
      this.progressed();
    };
    const device = this.#group.devices[read.volume] as Device;
    readDevice(device, arena, slot, read.length, read.offset).then(
      () => {
        const refusal = this.#refusalOf(read);
        if (refusal === undefined && !answer.isDropped) {
          const crc = memory.crc32c(arena.bytes, slot, read.length);
          return answer.content({ bytes: arena.bytes.subarray(slot, slot + read.length), crc, release });
        }
        if (refusal !== undefined) answer.refused(refusal);
        release();
      },
      (error: LvrError) => {
        this.#group.deviceErrors.readFailed(read.volume, Number(error.details['errno']));
        this.#group.deviceErrors.unanswered(read.volume);
        answer.refused({ code: 'DEVICE_FAILED', reason: error.message });
        release();
      },
    );
  }
}
