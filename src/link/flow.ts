// What flows in a running session, in one direction: records, or the regions of a resync and after them records; and beside records, reads
// that the sending site cannot do itself.
//
// At most one of the four parts works at a time. What a part holds of the group is given back by stop(), and what the stream still reads by
// dispose().

import { unreachable } from '../core/assert.js';
import type { SiteMode } from '../core/group-config.js';
import type { Clock, Slab } from '../core/ports.js';
import type { ControlMessage } from '../format/control.js';
import type { FrameType } from '../format/frame.js';
import { FEATURE_READS } from '../format/wire.js';
import type { Channel } from './channel.js';
import type { ReadOwner, ReceiveSink, Refusal, ShipSource, VolumeRead } from './ports.js';
import { ReadAnswerer } from './read-answerer.js';
import { ReadAsker } from './read-asker.js';
import { Receiver } from './receiver.js';
import type { ResyncReceiver } from './resync-receiver.js';
import type { ResyncSender } from './resync-sender.js';
import { Sender, type SenderParts } from './sender.js';

/** Messages of what flows. */
export type FlowMessage = Extract<ControlMessage, { type: 'ack' | 'durable' | 'regionsDone' | 'compared' | 'read' | 'readRefused' }>;

export class Flow {
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  #resyncSender: ResyncSender | undefined;
  #resyncReceiver: ResyncReceiver | undefined;
  #asker: ReadAsker | undefined;
  #answerer: ReadAnswerer | undefined;
  #receivesContent = false;
  /** What the other end offers, see FEATURE_READS. */
  features: number;
  readonly #group: ShipSource & ReceiveSink;
  readonly #channel: Channel;
  readonly #clock: Clock;

  constructor(group: ShipSource & ReceiveSink, channel: Channel, clock: Clock, features: number) {
    this.#group = group;
    this.#channel = channel;
    this.#clock = clock;
    this.features = features;
  }

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
  send(parts: Pick<SenderParts, 'site' | 'mode' | 'owner'>, from: number): void {
    this.#resyncSender?.stop();
    this.#resyncSender = undefined;
    this.#sender = new Sender({ source: this.#group, channel: this.#channel, clock: this.#clock, ...parts }, from);
  }

  /** Records are received from now on, see Receiver, and reads answered. */
  receive(from: number, epochMax: number, mode: SiteMode): void {
    this.#resyncReceiver?.stop();
    this.#resyncReceiver = undefined;
    this.#receiver = new Receiver(this.#group, this.#channel, this.#clock, from, epochMax, mode);
    this.#answerer = new ReadAnswerer(this.#group, this.#channel);
    this.#receiver.start();
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

  /** Asks the other site for a piece of a volume, see SiteLink.read(). */
  read(read: VolumeRead, owner: ReadOwner): (() => void) | undefined {
    const doesAnswer = Math.floor(this.features / FEATURE_READS) % 2 === 1;
    if (this.#sender === undefined || !doesAnswer) return undefined;
    this.#asker ??= new ReadAsker(this.#channel);
    // It answers when it may apply what it has.
    this.#sender.tellDurable();
    return this.#asker.ask(read, owner);
  }

  /** A message of what flows. A refusal when it is not possible, or nothing of the kind flows. */
  controlled(message: FlowMessage): Refusal | undefined {
    switch (message.type) {
      case 'ack':
        return violation(this.#sender === undefined ? 'ack of nothing' : this.#sender.acked(message.value));
      case 'regionsDone':
        return violation(this.#resyncSender === undefined ? 'regionsDone of nothing' : this.#resyncSender.done(message.value));
      case 'compared':
        return violation(this.#resyncSender === undefined ? 'compared of nothing' : this.#resyncSender.compared(message.value));
      case 'durable':
        return this.#receiver === undefined ? violation('durable frame from a secondary') : this.#receiver.durable(message.value);
      case 'read':
        return violation(this.#answerer === undefined ? 'read where no records are received' : this.#answerer.read(message.value));
      case 'readRefused':
        return violation(this.#asker === undefined ? 'readRefused of nothing' : this.#asker.refused(message.value));
      default:
        return unreachable(message);
    }
  }

  /** The meta part of a frame with payload; see Channel. */
  payload(type: FrameType, bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | Refusal | undefined {
    this.#receivesContent = type === 'content';
    if (type === 'content') return this.#asker?.content(bytes, start, length, payloadBytes) ?? violation('content of nothing');
    const receiver = type === 'records' ? this.#receiver : this.#resyncReceiver;
    if (receiver === undefined) return violation(`${type} frame where none was agreed on`);
    if (receiver instanceof Receiver) return receiver.records(bytes, start, length, payloadBytes);
    return receiver.region(type, bytes, start, length, payloadBytes);
  }

  payloadComplete(): Refusal | undefined {
    if (this.#receivesContent) return this.#asker?.contentComplete();
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
    this.#asker?.stop();
    this.#answerer?.stop();
  }

  /** The stream is gone: lets go of what it held. */
  dispose(): void {
    this.#sender?.dispose();
    this.#resyncSender?.dispose();
    this.#answerer?.dispose();
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
