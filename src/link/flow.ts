// What flows in a running session, in one direction: records, or the regions of a resync and after them records.
//
// At most one of the four parts works at a time. What a part holds of the group is given back by stop(), and what the stream still reads by
// dispose().

import type { Slab } from '../core/ports.js';
import type { FrameType } from '../format/frame.js';
import type { Ack, Compared } from '../format/wire.js';
import type { Refusal } from './ports.js';
import { Receiver } from './receiver.js';
import type { ResyncReceiver } from './resync-receiver.js';
import type { ResyncSender } from './resync-sender.js';
import type { Sender } from './sender.js';

export class Flow {
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  #resyncSender: ResyncSender | undefined;
  #resyncReceiver: ResyncReceiver | undefined;

  /** Regions flow. */
  get isResyncing(): boolean {
    return this.#resyncSender !== undefined || this.#resyncReceiver !== undefined;
  }

  /** This site sends regions or records. */
  get isSending(): boolean {
    return this.#sender !== undefined || this.#resyncSender !== undefined;
  }

  /** This site sends regions. */
  get isSendingRegions(): boolean {
    return this.#resyncSender !== undefined;
  }

  /** The end mark of the regions was sent: records flow behind this one when the other site is ready. */
  get resyncBase(): number | undefined {
    return this.#resyncSender?.base;
  }

  /** How long the other site has made nothing durable of the regions that it has, see ResyncSender. */
  unansweredMs(nowMs: number): number {
    return this.#resyncSender?.unansweredMs(nowMs) ?? 0;
  }

  /** This site receives regions. */
  get isReceivingRegions(): boolean {
    return this.#resyncReceiver !== undefined;
  }

  /** This site sends records. */
  get isSendingRecords(): boolean {
    return this.#sender !== undefined;
  }

  /** undefined when no records flow. The receiving end cannot tell streaming from catching up. */
  get catchingUp(): boolean | undefined {
    return this.#sender !== undefined ? this.#sender.catchingUp : this.#receiver !== undefined ? false : undefined;
  }

  get sentLsn(): number {
    return this.#sender?.sentLsn ?? 0;
  }

  get sentRecords(): number {
    return this.#sender?.sentRecords ?? 0;
  }

  get receivedRecords(): number {
    return this.#receiver?.receivedRecords ?? 0;
  }

  /** Records are sent from now on, with the next pump(). */
  send(sender: Sender): void {
    this.#resyncSender?.stop();
    this.#resyncSender = undefined;
    this.#sender = sender;
  }

  /** Records are received from now on. */
  receive(receiver: Receiver): void {
    this.#resyncReceiver?.stop();
    this.#resyncReceiver = undefined;
    this.#receiver = receiver;
    receiver.start();
  }

  /** Regions are sent from now on; the caller starts it. */
  sendRegions(sender: ResyncSender): void {
    this.#resyncSender = sender;
  }

  receiveRegions(receiver: ResyncReceiver): void {
    this.#resyncReceiver = receiver;
  }

  /** Something to send, see Sender. */
  pump(): void {
    this.#sender?.pump();
  }

  tellDurable(): void {
    this.#sender?.tellDurable();
  }

  /** Positions of the other site. A refusal when nothing was sent or they are not possible. */
  acked(ack: Ack): Refusal | undefined {
    return violation(this.#sender === undefined ? 'ack of nothing' : this.#sender.acked(ack));
  }

  /** So many regions are durable at the other site. Refused as above. */
  regionsDone(count: number): Refusal | undefined {
    return violation(this.#resyncSender === undefined ? 'regionsDone of nothing' : this.#resyncSender.done(count));
  }

  /** Which blocks of a piece the other site has. Refused as above. */
  compared(answer: Compared): Refusal | undefined {
    return violation(this.#resyncSender === undefined ? 'compared of nothing' : this.#resyncSender.compared(answer));
  }

  /** The primary's durable LSN. */
  durable(lsn: number): Refusal | undefined {
    if (this.#receiver === undefined) return violation('durable frame from a secondary');
    return this.#receiver.durable(lsn);
  }

  /** The meta part of a frame with payload; see Channel. */
  payload(type: FrameType, bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | Refusal | undefined {
    const receiver = type === 'records' ? this.#receiver : this.#resyncReceiver;
    if (receiver === undefined) return violation(`${type} frame where none was agreed on`);
    if (receiver instanceof Receiver) return receiver.records(bytes, start, length, payloadBytes);
    return receiver.region(type, bytes, start, length, payloadBytes);
  }

  payloadComplete(): Refusal | undefined {
    return this.#receiver === undefined ? this.#resyncReceiver?.regionComplete() : this.#receiver.recordsComplete();
  }

  turnEnded(): void {
    this.#receiver?.turnEnded();
  }

  /** Nothing flows any more; the group's part is given back. */
  stop(): void {
    this.#receiver?.stop();
    this.#sender?.stop();
    this.#resyncReceiver?.stop();
    this.#resyncSender?.stop();
  }

  /** The stream is gone: lets go of what it held. */
  dispose(): void {
    this.#sender?.dispose();
    this.#resyncSender?.dispose();
  }

  /** Behind stop(): resolves when nothing of the group is being read any more. */
  async settled(): Promise<void> {
    await this.#sender?.settled();
    await this.#resyncSender?.settled();
  }
}

function violation(reason: string): Refusal;
function violation(reason: string | undefined): Refusal | undefined;
function violation(reason: string | undefined): Refusal | undefined {
  return reason === undefined ? undefined : { code: 'PROTOCOL', reason };
}
