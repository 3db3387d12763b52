// One session: the life of one byte stream with one site, from the hello to the end. Owns the channel and the sender or receiver on it.
//
//   hello ──> meeting ──┬─> chain ──> ready ──> running      the sending site: own chain value, Plan sent, Ready awaited
//   (dialer   (both     ├─> plan ──> prepare ──> running     the receiving site: Plan awaited, log cut if need be, Ready sent
//    only)     hellos   ├─> stepDown ──> ended               one side becomes secondary, the other waits for its Bye
//              known)   ├─> running                          idle: heartbeats only
//                       └─> ended                            refused, nothing changed
//
// Every phase but running has a deadline, and running ends after LINK_DEAD_MS of silence. A session ends exactly once; after that neither
// group nor sink hear of it, whatever the other end still sends. Nothing of the group changes before the plan is agreed on.

import { unreachable } from '../core/assert.js';
import type { SiteMode } from '../core/group-config.js';
import { LINK_DEAD_MS, LINK_HELLO_MS, LINK_NO_ROOM_MS, LINK_PING_MS, LINK_PREPARE_MS } from '../core/limits.js';
import type { Clock, Slab } from '../core/ports.js';
import type { ReconnectPlan, SiteHistory } from '../core/reconnect.js';
import type { FrameType } from '../format/frame.js';
import {
  controlFrame,
  decodeAck,
  decodeBye,
  decodeDurable,
  decodeHello,
  decodePlan,
  decodeReady,
  decodeRefused,
  decodeTime,
  encodeBye,
  encodeHello,
  encodePlan,
  encodeReady,
  encodeRefused,
  encodeTime,
  type Hello,
  PROTOCOL_VERSION,
} from '../format/wire.js';
import { Channel, type ChannelOwner } from './channel.js';
import { checkHello, checkPlan, isStillPlan, type Meeting, makeHello, meet, planMessage, refusalOf, type StreamPlan } from './handshake.js';
import type { ByteStream, ReceiveSink, Refusal, ShipSource } from './ports.js';
import { Receiver } from './receiver.js';
import { Sender, type SenderOwner } from './sender.js';

type Phase = 'hello' | 'chain' | 'ready' | 'plan' | 'prepare' | 'stepDown' | 'running' | 'ended';

/** How a session ended. lost: the stream broke or a deadline passed. stepDown, bye: orderly, try again soon. */
export type SessionEnd = { readonly kind: 'lost' | 'refused' | 'stepDown' | 'bye'; readonly code: string; readonly reason: string };

/** Told about a session; never after the end. */
export interface SessionOwner {
  /** Phase, rule or catching up changed. */
  sessionChanged(session: Session): void;
  /** Called once, as the last. */
  sessionEnded(session: Session, end: SessionEnd): void;
}

/** What every session of a link has in common. */
export type SessionContext = {
  readonly group: ShipSource & ReceiveSink;
  readonly site: string;
  /** What this site waits for at the other one, as long as it is primary. */
  readonly mode: SiteMode;
  readonly clock: Clock;
  readonly owner: SessionOwner;
  /** Resolves when work of earlier sessions for the group has ended: two plans are never carried out at once. */
  readonly before: Promise<void>;
};

export class Session implements ChannelOwner, SenderOwner {
  readonly id: number;
  readonly dialed: boolean;
  readonly #group: ShipSource & ReceiveSink;
  readonly #site: string;
  readonly #mode: SiteMode;
  readonly #clock: Clock;
  readonly #owner: SessionOwner;
  readonly #before: Promise<void>;
  readonly #channel: Channel;
  /** Our history as the other end was told it. */
  readonly #own: SiteHistory;
  #other: SiteHistory | undefined;
  #meeting: Meeting | undefined;
  #phase: Phase = 'hello';
  #deadlineMs = 0;
  #sender: Sender | undefined;
  #receiver: Receiver | undefined;
  #pingSentMs: number;
  #work: Promise<void> | undefined;
  rttMs = 0;

  /** `hello` is the dialer's when this end accepted it (and checked it); undefined when this end dialed. */
  constructor(context: SessionContext, stream: ByteStream, id: number, hello: Hello | undefined) {
    this.#group = context.group;
    this.#site = context.site;
    this.#mode = context.mode;
    this.#clock = context.clock;
    this.#owner = context.owner;
    this.#before = context.before;
    this.id = id;
    this.dialed = hello === undefined;
    this.#own = context.group.history();
    this.#other = hello?.history;
    this.#channel = new Channel(stream, this, context.clock);
    this.#pingSentMs = context.clock.nowMs();
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
    return this.#other?.role;
  }

  /** undefined when nothing flows. The receiving end cannot tell streaming from catching up. */
  get catchingUp(): boolean | undefined {
    return this.#sender !== undefined ? this.#sender.catchingUp : this.#receiver !== undefined ? false : undefined;
  }

  get lastReceivedMs(): number {
    return this.#channel.lastReceivedMs;
  }

  get sentLsn(): number {
    return this.#sender?.sentLsn ?? 0;
  }

  get counters(): { sentBytes: number; receivedBytes: number; sentRecords: number; receivedRecords: number } {
    const { sentBytes, receivedBytes } = this.#channel;
    return { sentBytes, receivedBytes, sentRecords: this.#sender?.sentRecords ?? 0, receivedRecords: this.#receiver?.receivedRecords ?? 0 };
  }

  /** Something to send, see Sender. */
  pump(): void {
    this.#sender?.pump();
  }

  /** Looks at deadlines and sends heartbeats. `late`: this process itself was not running for a while, so silence means nothing. */
  tick(nowMs: number, late: boolean): void {
    if (this.#phase !== 'running' && nowMs >= this.#deadlineMs && !late)
      return this.#lost(`no answer from site ${this.#site} (${this.#phase})`);
    if (this.#phase === 'hello') return;
    if (nowMs - this.#channel.lastReceivedMs >= LINK_DEAD_MS && !late) {
      return this.#lost(`nothing heard from site ${this.#site} for ${LINK_DEAD_MS / 1000} s`);
    }
    if (this.#channel.noRoomMs(nowMs) >= LINK_NO_ROOM_MS && !late) return this.#lost(`no room for records of site ${this.#site}`);
    if (nowMs - this.#pingSentMs < LINK_PING_MS) return;
    this.#pingSentMs = nowMs;
    this.#channel.send(controlFrame('ping', encodeTime(Math.floor(nowMs))));
  }

  /** Ends the session in order: the other end may come back soon. It is told first what it may apply meanwhile. */
  bye(reason: string): void {
    if (this.#phase === 'ended') return;
    this.#sender?.tellDurable();
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
    await this.#sender?.settled();
  }

  // ---- Channel ----

  control(type: FrameType, message: Uint8Array): void {
    switch (type) {
      case 'hello':
        return this.#take(['hello'], type, decodeHello(message), (hello) => this.#helloReceived(hello));
      case 'plan':
        return this.#take(['plan'], type, decodePlan(message), (plan) => this.#planReceived(plan));
      case 'ready':
        return this.#take(['ready'], type, decodeReady(message), (from) => this.#readyReceived(from));
      case 'ack':
        return this.#take(['running'], type, decodeAck(message), (ack) => {
          const problem = this.#sender === undefined ? 'ack of nothing' : this.#sender.acked(ack);
          if (problem !== undefined) this.violated(problem);
        });
      case 'durable':
        return this.#take(['running'], type, decodeDurable(message), (lsn) => {
          if (this.#receiver === undefined) this.violated('durable frame from a secondary');
          else this.#refuseIf(this.#receiver.durable(lsn));
        });
      case 'ping':
        return this.#take(undefined, type, decodeTime(message), (timeMs) => this.#channel.send(controlFrame('pong', encodeTime(timeMs))));
      case 'pong':
        return this.#take(undefined, type, decodeTime(message), (timeMs) => {
          this.rttMs = Math.max(0, this.#clock.nowMs() - timeMs);
        });
      case 'refused':
        return this.#take(undefined, type, decodeRefused(message), ({ code, reason }) => {
          this.#channel.destroy();
          this.#end({ kind: 'refused', code, reason });
        });
      case 'bye':
        return this.#take(undefined, type, decodeBye(message), ({ reason }) => {
          this.#channel.destroy();
          this.#end({ kind: this.#phase === 'stepDown' ? 'stepDown' : 'bye', code: '', reason });
        });
      case 'records':
        return this.violated('records frame where a control frame was announced');
      default:
        return unreachable(type);
    }
  }

  records(bytes: Uint8Array, start: number, length: number, payloadBytes: number): Slab | undefined {
    const answer = this.#receiver?.records(bytes, start, length, payloadBytes) ?? undefined;
    if (this.#receiver === undefined) this.violated('records frame where none was agreed on');
    if (answer === undefined || 'arena' in answer) return answer;
    this.#refuse(answer);
    return undefined;
  }

  recordsComplete(): void {
    this.#refuseIf(this.#receiver?.recordsComplete());
  }

  turnEnded(): void {
    this.#receiver?.turnEnded();
  }

  violated(reason: string): void {
    this.#refuse({ code: 'PROTOCOL', reason });
  }

  closed(error: Error | undefined): void {
    this.#sender?.dispose();
    this.#end({ kind: 'lost', code: '', reason: error === undefined ? `site ${this.#site} closed the connection` : error.message });
  }

  // ---- Sender ----

  senderChanged(): void {
    this.#owner.sessionChanged(this);
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
    this.#meet(hello.history);
  }

  #meet(other: SiteHistory): void {
    this.#other = other;
    const meeting = meet(this.#own, other, this.dialed);
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
    this.#run('stepDown', this.#before, () => {
      if (!isStillPlan(meeting, this.#group.history())) return this.#historyChanged();
      this.#run('stepDown', this.#group.stepDown(plan), () => {
        this.#channel.close(controlFrame('bye', encodeBye(plan.reason)));
        this.#end({ kind: 'stepDown', code: '', reason: plan.reason });
      });
    });
  }

  #historyChanged(): void {
    this.bye(`the history of site ${this.#own.site} changed while the sites met`);
  }

  async #chainBefore(plan: StreamPlan): Promise<number> {
    await this.#before;
    return plan.from === 1 ? 0 : this.#group.chainAt(plan.from - 1);
  }

  /** Receiving site: the same plan, from a history that is still ours, on top of the same record; then what the plan says. */
  #planReceived(message: Exclude<ReturnType<typeof decodePlan>, string>): void {
    const meeting = this.#meeting as Meeting;
    const plan = meeting.plan as StreamPlan;
    const other = this.#other as SiteHistory;
    this.#enter('prepare', LINK_PREPARE_MS);
    this.#run('prepare', this.#chainBefore(plan), (chain) => {
      const refusal = checkPlan(message, meeting, plan, chain);
      if (refusal !== undefined) return this.#refuse(refusal);
      if (!isStillPlan(meeting, this.#group.history())) return this.#historyChanged();
      this.#run('prepare', this.#group.prepare(plan, other), () => {
        this.#receiver = new Receiver(this.#group, this.#channel, this.#clock, plan.from, other.epoch, message.mode);
        this.#channel.send(controlFrame('ready', encodeReady(plan.from)));
        this.#receiver.start();
        this.#enter('running', 0);
      });
    });
  }

  #readyReceived(from: number): void {
    const plan = this.#meeting?.plan as StreamPlan;
    if (from !== plan.from) return this.violated(`site ${this.#site} is ready for LSN ${from}, planned was ${plan.from}`);
    const parts = { source: this.#group, site: this.#site, mode: this.#mode, channel: this.#channel, clock: this.#clock, owner: this };
    this.#sender = new Sender(parts, from);
    this.#group.siteStreaming(this.#site, from);
    this.#enter('running', 0);
    this.#sender.pump();
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

  /** Checks that a message may come in this phase (any phase behind the hello when `phases` is undefined) and is well-formed. */
  #take<Value>(phases: readonly Phase[] | undefined, type: FrameType, value: Value | string, then: (value: Value) => void): void {
    const expected = phases === undefined ? this.#phase !== 'hello' || type === 'refused' : phases.includes(this.#phase);
    if (!expected) return this.violated(`${type} frame out of order (${this.#phase})`);
    if (typeof value === 'string') return this.violated(value);
    then(value);
  }

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
    if (phase !== 'hello') this.#owner.sessionChanged(this);
  }

  #end(end: SessionEnd): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#receiver?.stop();
    this.#sender?.stop();
    if (this.#channel.isClosed) this.#sender?.dispose();
    if (this.#sender !== undefined) this.#group.siteGone(this.#site);
    this.#owner.sessionEnded(this, end);
  }
}
