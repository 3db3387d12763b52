// One session: the life of one byte stream with one site, from the hello to the end. Owns the channel and the sender or receiver on it.
//
//   hello ──> meeting ──┬─> chain ──> ready ──> running      the sending site: own chain value, Plan sent, Ready awaited
//   (dialer   (both     ├─> plan ──> prepare ──> running     the receiving site: Plan awaited, log cut if need be, Ready sent
//    only)     hellos   ├─> stepDown ──> ended               one side becomes secondary, the other waits for its Bye
//              known)   ├─> running                          idle: heartbeats only
//                       └─> ended                            refused, nothing changed
//   A resync goes through chain and plan as well; then regions flow, and after the end mark the receiver is ready once more, for records.
//
// Every phase but running has a deadline; running ends after LINK_DEAD_MS of silence, and when the other site has owed an answer to a
// resync for RESYNC_ANSWER_MS. A session ends exactly once; after that neither group nor sink hear of it, whatever the other end still
// sends. Nothing of the group changes before the plan is agreed on.

import type { SiteMode } from '../core/group-config.js';
import { LINK_DEAD_MS, LINK_HELLO_MS, LINK_NO_ROOM_MS, LINK_PREPARE_MS, RESYNC_ANSWER_MS } from '../core/limits.js';
import type { Clock, Slab } from '../core/ports.js';
import type { ReconnectPlan, SiteHistory } from '../core/reconnect.js';
import { type ControlMessage, decodeControl } from '../format/control.js';
import type { FrameType } from '../format/frame.js';
import {
  controlFrame,
  encodeBye,
  encodeHello,
  encodePlan,
  encodeReady,
  encodeRefused,
  type Hello,
  type PlanMessage,
  PROTOCOL_VERSION,
  type ResyncEnd,
} from '../format/wire.js';
import { Channel, type ChannelOwner } from './channel.js';
import { Flow } from './flow.js';
import { checkHello, checkPlan, isStillPlan, type Meeting, makeHello, meet, planMessage, refusalOf, type StreamPlan } from './handshake.js';
import { Heartbeat } from './heartbeat.js';
import type { ByteStream, ReadOwner, ReceiveSink, Refusal, ShipSource, VolumeRead } from './ports.js';
import { ResyncReceiver } from './resync-receiver.js';
import { ResyncSender } from './resync-sender.js';
import type { SenderOwner } from './sender.js';
import { chainBefore, HISTORY_CHANGED, isExpected, type Phase, type SessionContext, type SessionEnd } from './session-parts.js';

export class Session implements ChannelOwner, SenderOwner {
  readonly id: number;
  readonly dialed: boolean;
  readonly #group: ShipSource & ReceiveSink;
  readonly #site: string;
  /** Ours for the other site; once the other one sends, its own for us. */
  #mode: SiteMode;
  readonly #clock: Clock;
  readonly #context: SessionContext;
  readonly #channel: Channel;
  /** Our history as the other end was told it. */
  readonly #own: SiteHistory;
  #other: Hello | undefined;
  #meeting: Meeting | undefined;
  #phase: Phase = 'hello';
  #deadlineMs = 0;
  readonly #flow: Flow;
  readonly #heartbeat: Heartbeat;
  #work: Promise<void> | undefined;

  /** `hello` is the dialer's when this end accepted it (and checked it); undefined when this end dialed. */
  constructor(context: SessionContext, stream: ByteStream, id: number, hello: Hello | undefined) {
    this.#group = context.group;
    this.#site = context.site;
    this.#mode = context.mode;
    this.#clock = context.clock;
    this.#context = context;
    this.id = id;
    this.dialed = hello === undefined;
    this.#own = context.group.history(context.site);
    this.#other = hello;
    this.#channel = new Channel(stream, this, context.clock);
    this.#flow = new Flow(context.group, this.#channel, context.clock, hello?.features ?? 0);
    this.#heartbeat = new Heartbeat(this.#channel, context.clock);
    this.#enter('hello', LINK_HELLO_MS);
  }

  /** Sends our hello, and when the other end's is known decides. Apart from the constructor, because the owner may be called. */
  start(): void {
    this.#channel.send(controlFrame('hello', encodeHello(makeHello(this.#group, this.#site, this.id, this.#own))));
    if (this.#other !== undefined) this.#meet(this.#other);
  }

  get isRunning(): boolean {
    return this.#phase === 'running';
  }

  get remote(): string {
    return this.#channel.remote;
  }

  /** Rule label of the plan, empty before the hellos are exchanged. */
  get rule(): string {
    return this.#meeting?.plan.rule ?? '';
  }

  get remoteRole(): 'primary' | 'secondary' | undefined {
    return this.#other?.history.role;
  }

  /** Regions of a resync flow. */
  get isResyncing(): boolean {
    return this.#flow.isResyncing;
  }

  /** undefined when nothing flows. The receiving end cannot tell streaming from catching up. */
  get catchingUp(): boolean | undefined {
    return this.#flow.catchingUp;
  }

  get lastReceivedMs(): number {
    return this.#channel.lastReceivedMs;
  }

  get rttMs(): number {
    return this.#heartbeat.rttMs;
  }

  get sentLsn(): number {
    return this.#flow.sentLsn;
  }

  get counters(): { sentBytes: number; receivedBytes: number; sentRecords: number; receivedRecords: number } {
    const { sentBytes, receivedBytes } = this.#channel;
    const { sentRecords, receivedRecords } = this.#flow;
    return { sentBytes, receivedBytes, sentRecords, receivedRecords };
  }

  /** Something to send, see Sender. */
  pump(): void {
    this.#flow.pump();
  }

  /** See SiteLink.read(). */
  read(read: VolumeRead, owner: ReadOwner): (() => void) | undefined {
    return this.isRunning ? this.#flow.read(read, owner) : undefined;
  }

  /** Looks at deadlines and sends heartbeats. `late`: this process itself was not running for a while, so silence means nothing. */
  tick(nowMs: number, late: boolean): void {
    const overdue = late ? undefined : this.#overdue(nowMs);
    if (overdue !== undefined) this.#lost(overdue);
    else if (this.#phase !== 'hello') this.#heartbeat.tick(nowMs);
  }

  #overdue(nowMs: number): string | undefined {
    const site = `site ${this.#site}`;
    if (this.#phase !== 'running' && nowMs >= this.#deadlineMs) return `no answer from ${site} (${this.#phase})`;
    if (this.#phase === 'hello') return undefined;
    if (nowMs - this.#channel.lastReceivedMs >= LINK_DEAD_MS) return `nothing heard from ${site} for ${LINK_DEAD_MS / 1000} s`;
    if (this.#channel.noRoomMs(nowMs) >= LINK_NO_ROOM_MS) return `no room for records of ${site}`;
    if (this.#flow.unansweredMs(nowMs) < RESYNC_ANSWER_MS) return undefined;
    return `${site} made nothing of its resync durable for ${RESYNC_ANSWER_MS / 1000} s`;
  }

  /** Ends the session in order: the other end may come back soon. It is told first what it may apply meanwhile. */
  bye(reason: string): void {
    if (this.#phase === 'ended') return;
    this.#flow.tellDurable();
    this.#channel.close(controlFrame('bye', encodeBye(reason)));
    this.#end({ kind: 'bye', code: '', reason });
  }

  /** Ends the session at once, because a newer one of the same site takes its place. Nothing of it is delivered afterwards. */
  replace(): void {
    this.#lost(`a newer session of site ${this.#site} took over`);
  }

  /** Resolves when no work started by this session is going on (chain, prepare, stepDown, a read of the log). */
  async settled(): Promise<void> {
    await this.#work;
    await this.#flow.settled();
  }

  // ---- Channel ----

  control(type: FrameType, bytes: Uint8Array): void {
    if (!isExpected(type, this.#phase)) return this.violated(`${type} frame out of order (${this.#phase})`);
    const message = decodeControl(type, bytes);
    if (typeof message === 'string') return this.violated(message);
    this.#controlled(message);
  }

  #controlled(message: ControlMessage): void {
    switch (message.type) {
      case 'hello':
        return this.#helloReceived(message.value);
      case 'plan':
        return this.#planReceived(message.value);
      case 'ready':
        return this.#readyReceived(message.value);
      case 'resyncEnd':
        return this.#resyncEnded(message.value);
      case 'ping':
        return this.#heartbeat.ping(message.value);
      case 'pong':
        return this.#heartbeat.pong(message.value);
      case 'refused':
        this.#channel.destroy();
        return this.#end({ kind: 'refused', ...message.value });
      case 'bye':
        this.#channel.destroy();
        return this.#end({ kind: this.#phase === 'stepDown' ? 'stepDown' : 'bye', code: '', reason: message.value.reason });
      default:
        return this.#refuseIf(this.#flow.controlled(message));
    }
  }

  payload(type: FrameType, bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | undefined {
    if (isExpected(type, this.#phase)) {
      const answer = this.#flow.payload(type, bytes, start, length, payloadBytes);
      if (answer === undefined || 'arena' in answer) return answer;
      this.#refuse(answer);
    } else {
      this.violated(`${type} frame out of order (${this.#phase})`);
    }
    return undefined;
  }

  payloadComplete(): void {
    this.#refuseIf(this.#flow.payloadComplete());
  }

  turnEnded(): void {
    this.#flow.turnEnded();
  }

  violated(reason: string): void {
    this.#refuse({ code: 'PROTOCOL', reason });
  }

  closed(error: Error | undefined): void {
    this.#flow.dispose();
    this.#end({ kind: 'lost', code: '', reason: error === undefined ? `site ${this.#site} closed the connection` : error.message });
  }

  // ---- Sender ----

  senderChanged(): void {
    this.#context.owner.sessionChanged(this);
  }

  senderFailed(error: unknown): void {
    this.#refuse(refusalOf(error));
  }

  // ---- Handshake ----

  #helloReceived(hello: Hello | { readonly protocol: number }): void {
    if (!('group' in hello)) {
      return this.violated(`site ${this.#site} speaks protocol version ${hello.protocol}, this is ${PROTOCOL_VERSION}`);
    }
    const refusal = checkHello(hello, this.#group, this.#site);
    if (refusal !== undefined) return this.#refuse(refusal);
    if (hello.session !== this.id) return this.violated(`site ${this.#site} answered for another session`);
    this.#flow.features = hello.features;
    this.#meet(hello);
  }

  #meet(other: Hello): void {
    this.#other = other;
    const meeting = meet(this.#own, other.history, this.dialed);
    this.#meeting = meeting;
    const { plan } = meeting;
    if (plan.action === 'refuse') return this.#refuse({ code: plan.code, reason: plan.reason });
    if (plan.action === 'idle') return this.#enter('running', 0);
    if (plan.action === 'stepDown') {
      this.#enter('stepDown', LINK_PREPARE_MS);
      if (plan.side === meeting.ownSide) this.#stepDown(meeting, plan);
      return;
    }
    if (plan.sender !== meeting.ownSide) return this.#enter('plan', LINK_HELLO_MS);
    this.#enter('chain', LINK_HELLO_MS);
    this.#run('chain', this.#chainBefore(plan), (chain) => {
      this.#enter('ready', LINK_PREPARE_MS);
      this.#channel.send(controlFrame('plan', encodePlan(planMessage(meeting, plan, chain, this.#mode))));
    });
  }

  /** What was written since the hello may be what the other site lacks, so the plan must still hold now. */
  #stepDown(meeting: Meeting, plan: ReconnectPlan & { action: 'stepDown' }): void {
    this.#run('stepDown', this.#context.before, () => {
      if (!isStillPlan(meeting, this.#group.history(this.#site))) return this.bye(HISTORY_CHANGED);
      this.#run('stepDown', this.#group.stepDown(plan), () => {
        this.#channel.close(controlFrame('bye', encodeBye(plan.reason)));
        this.#end({ kind: 'stepDown', code: '', reason: plan.reason });
      });
    });
  }

  async #chainBefore(plan: StreamPlan): Promise<number> {
    await this.#context.before;
    return chainBefore(this.#group, plan, plan.sender === this.#meeting?.ownSide);
  }

  /** Receiving site: the same plan, from a history that is still ours, on top of the same record; then what the plan says. */
  #planReceived(message: PlanMessage): void {
    const meeting = this.#meeting as Meeting;
    const plan = meeting.plan as StreamPlan;
    const other = (this.#other as Hello).history;
    this.#enter('prepare', LINK_PREPARE_MS);
    this.#run('prepare', this.#chainBefore(plan), (chain) => {
      const refusal = checkPlan(message, meeting, plan, chain);
      if (refusal !== undefined) return this.#refuse(refusal);
      if (!isStillPlan(meeting, this.#group.history(this.#site))) return this.bye(HISTORY_CHANGED);
      this.#run('prepare', this.#group.prepare(plan, other), () => {
        this.#mode = message.mode;
        if (plan.action === 'stream') return this.#receiveFrom(plan.from);
        this.#flow.receiveRegions(new ResyncReceiver(this.#group, this.#channel, (refusal) => this.#refuse(refusal)));
        this.#channel.send(controlFrame('ready', encodeReady(plan.from)));
        this.#enter('running', 0);
      });
    });
  }

  /** Receiving site: records flow from `from` on. */
  #receiveFrom(from: number): void {
    this.#channel.send(controlFrame('ready', encodeReady(from)));
    this.#flow.receive(from, (this.#other as Hello).history.epoch, this.#mode);
    this.#enter('running', 0);
  }

  /** Receiving site: all regions are durable here, and the records behind them follow. */
  #resyncEnded(end: ResyncEnd): void {
    if (!this.#flow.isReceivingRegions) return this.violated('resyncEnd frame where no resync was agreed on');
    this.#enter('prepare', LINK_PREPARE_MS);
    this.#run('prepare', this.#group.endResync(end, (this.#other as Hello).history), () => this.#receiveFrom(end.base + 1));
  }

  /** Sending site: the other one is ready for what the plan says, or, behind the end mark of a resync, for records. */
  #readyReceived(from: number): void {
    const plan = this.#meeting?.plan as StreamPlan;
    if (plan.sender !== this.#meeting?.ownSide) return this.violated('ready frame from a primary');
    const wanted = this.#flow.isSendingRegions ? (this.#flow.resyncBase ?? -1) + 1 : plan.from;
    if (this.#flow.isSendingRecords || from !== wanted || wanted === 0) {
      return this.violated(`site ${this.#site} is ready for LSN ${from}, planned was ${wanted}`);
    }
    if (plan.action === 'resync' && !this.#flow.isSendingRegions) return this.#sendRegions(plan.uuid);
    this.#flow.send({ site: this.#site, mode: this.#mode, owner: this }, from);
    this.#group.siteStreaming(this.#site, from, plan.action === 'resync');
    this.#enter('running', 0);
    this.#flow.pump();
  }

  #sendRegions(uuid: string): void {
    const run = this.#group.resync(this.#site, uuid, this.#other as Hello);
    if (run === undefined) return this.bye(HISTORY_CHANGED);
    const sender = new ResyncSender(run, this.#channel, this.#clock, this);
    this.#flow.sendRegions(sender);
    this.#enter('running', 0);
    this.#run('running', run.start(), () => sender.start());
  }

  /** Goes on with `then` when the group has done its work, unless the session left the phase meanwhile. */
  #run<Value>(phase: Phase, work: Promise<Value>, then: (value: Value) => void): void {
    this.#work = work.then(
      (value) => {
        if (this.#phase === phase) then(value);
      },
      (error: unknown) => {
        const refusal = refusalOf(error);
        if (this.#phase === phase) this.#refuse(refusal);
      },
    );
  }

  // ---- Ends ----

  #refuseIf(refusal: Refusal | undefined): void {
    if (refusal !== undefined) this.#refuse(refusal);
  }

  #refuse(refusal: Refusal): void {
    if (this.#phase === 'ended') return;
    this.#channel.close(controlFrame('refused', encodeRefused(refusal)));
    this.#end({ kind: 'refused', code: refusal.code, reason: refusal.reason });
  }

  #lost(reason: string): void {
    if (this.#phase === 'ended') return;
    this.#channel.destroy();
    this.#end({ kind: 'lost', code: '', reason });
  }

  #enter(phase: Phase, deadlineMs: number): void {
    this.#phase = phase;
    this.#deadlineMs = this.#clock.nowMs() + deadlineMs;
    if (phase !== 'hello') this.#context.owner.sessionChanged(this);
  }

  #end(end: SessionEnd): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#flow.stop();
    if (this.#channel.isClosed) this.#flow.dispose();
    if (this.#flow.isSending) this.#group.siteGone(this.#site);
    this.#context.owner.sessionEnded(this, end);
  }
}
