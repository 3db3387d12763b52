// The transmission phase of one connection: requests in, replies out, everything batched per turn of the event loop.
//
// A turn: take every complete request that has arrived, commit() the backend once, send all replies in one write. Turns start when bytes
// arrive and, armed once for any number of causes, after completions or a change of room that came from outside a turn.
//
// Owner of the parse position, the pooled requests and the connection's epoch with the backend. Order rules: a request goes to the backend
// before later bytes are looked at; a request that found no room is looked at again from its header; a refused write is answered when its
// payload has passed; DISC is obeyed when everything before it has been answered. Bounds: requests and bytes in flight, bytes unsent.

import { assert } from '../core/assert.js';
import { DIRECT_PAYLOAD_BYTES, NBD_PAYLOAD_BYTES_MAX, NBD_READS_PER_ROUND, NBD_UNSENT_BYTES_MAX } from '../core/limits.js';
import type { Backend, IoRequest, RequestOwner, RoomWaiter } from '../core/ports.js';
import { Answers } from './answers.js';
import type { BudgetWaiter } from './budget.js';
import type { Fence, FenceOwner } from './fence.js';
import type { Negotiated } from './handshake.js';
import { InFlight } from './in-flight.js';
import type { KernelPeer } from './kernel-peer.js';
import type { NbdMetrics } from './metrics.js';
import type { Output, SentListener } from './output.js';
import { Payload } from './payload.js';
import { CMD, REQUEST_BYTES } from './protocol.js';
import { READ_BYTES, type ReceiveBuffer } from './receive-buffer.js';
import { checkRequest, isChange, NbdRequest, opOf, parseRequest } from './request.js';
import type { SharedByConnections, TransmissionHost } from './transmission-host.js';

/** While long writes arrive, reads for headers are short, so that payload lands in slabs and not in the receive buffer. */
const HEADER_READ_BYTES = 1024;

type Stall = 'none' | 'room' | 'limit';

/** One connection in transmission. */
export class Transmission implements RequestOwner, RoomWaiter, BudgetWaiter, FenceOwner, SentListener {
  readonly backend: Backend;
  /** Grows with every request taken; a deadline watches that it does while bytes are waiting. */
  requestsTaken = 0;
  /** See SocketOwner. */
  waitsForAll = false;
  readonly #structured: boolean;
  readonly #allocationContext: boolean;
  readonly #input: ReceiveBuffer;
  readonly #output: Output;
  readonly #host: TransmissionHost;
  readonly #metrics: NbdMetrics;
  readonly #epoch: number;
  readonly #payload: Payload;
  readonly #answers: Answers;
  readonly #fence: Fence;
  readonly #kernel: KernelPeer | undefined;
  readonly #inFlight: InFlight;
  #pool: NbdRequest[] = [];
  /** The request being parsed; replaced when the backend keeps it. */
  #next: NbdRequest;
  #stall: Stall = 'none';
  #inTurn = false;
  #armed = false;
  /** The backend has work that commit() must submit. */
  #uncommitted = false;
  /** The socket's next read goes into the payload's slab. */
  #targetIsSlab = false;
  /** The last write was long. */
  #longWrites = false;
  /** DISC or drain(): take nothing further. */
  #ending = false;
  /** handOver(): take nothing further, but receive the payload in progress. */
  #handing = false;
  /** An answer is withheld: take nothing further until the connection closes. */
  #holding = false;
  #closed = false;

  /** `kernel` is set when the client is the kernel's. */
  constructor(
    negotiated: Negotiated,
    input: ReceiveBuffer,
    output: Output,
    host: TransmissionHost,
    shared: SharedByConnections,
    kernel?: KernelPeer,
  ) {
    this.#kernel = kernel;
    this.backend = negotiated.backend;
    this.#structured = negotiated.structured;
    this.#allocationContext = negotiated.allocationContext;
    this.#input = input;
    this.#output = output;
    this.#host = host;
    this.#metrics = shared.metrics;
    this.#inFlight = new InFlight(shared.budget, shared.metrics);
    this.#payload = new Payload(this.backend);
    this.#answers = new Answers(this.backend, output, shared.metrics, this.#structured);
    this.#epoch = this.backend.connect(() => this.#host.abort('the volume was withdrawn', false), kernel !== undefined);
    this.#next = this.#fresh();
    this.#fence = shared.fences.join(this.backend, this);
  }

  get isStalled(): boolean {
    return this.#stall !== 'none';
  }

  get inFlight(): number {
    return this.#inFlight.count;
  }

  /** Part of a request has arrived and the rest is the client's to send. */
  get awaitsClient(): boolean {
    return (
      this.#stall === 'none' &&
      !this.#ending &&
      !this.#holding &&
      (this.#payload.request !== undefined || this.#input.end > this.#input.start)
    );
  }

  /** Memory for the socket's next read. */
  nextBuffer(): Uint8Array {
    // What stands in the receive buffer comes before what the socket has, and is not taken while answers are withheld.
    const target = this.#input.start === this.#input.end ? this.#payload.target() : undefined;
    this.#targetIsSlab = target !== undefined;
    // Nothing can be taken before the piece is full; but while others wait for this socket to be found empty, each read counts.
    this.waitsForAll = this.#targetIsSlab && !this.#fence.isBehind;
    const memory = target ?? this.#input.offer(this.#longWrites ? HEADER_READ_BYTES : READ_BYTES);
    this.#fence.offered(memory.length);
    this.#kernel?.offered(memory.length);
    return memory;
  }

  /** `length` bytes arrived. */
  received(length: number): void {
    const isDirect = this.#targetIsSlab;
    if (isDirect) this.#payload.received(length);
    else this.#input.end += length;
    this.#fence.received(length);
    this.#kernel?.received(length);
    if (isDirect && this.#payload.isFilling && !this.#fence.isBehind) return;
    this.turn();
  }

  /** One turn: take requests, commit, send replies. */
  turn(): void {
    this.#armed = false;
    if (this.#closed) return;
    if (this.#kernel?.isGone === true) return this.#host.abort('the kernel gave this connection up', false);
    this.#inTurn = true;
    if (this.#stall !== 'room') {
      this.#stall = 'none';
      this.#takeRequests();
    }
    this.#round();
    this.#inTurn = false;
    if (this.#closed) return;
    if (this.#ending && this.#unanswered === 0) return this.#host.finish();
    if (this.#handing && this.#isAtBoundary)
      return this.#host.frozen(Buffer.from(this.#input.bytes.subarray(this.#input.start, this.#input.end)));
    this.#fence.turnEnded();
    const isTaking = !this.#ending && !this.#holding && (!this.#handing || this.#payload.request !== undefined);
    if (this.#stall !== 'none') this.#kernel?.stalled();
    // A stall that completions inside commit() ended is noticed when their replies leave: see written().
    this.#host.setReading(this.#stall === 'none' && isTaking);
  }

  /** Submits what was taken and sends what was answered. */
  #round(): void {
    if (this.#uncommitted) this.backend.commit();
    this.#uncommitted = false;
    if (!this.#closed) this.#output.flush();
  }

  /** Takes no further requests and tells the host when a successor can go on with the socket. */
  handOver(): void {
    if (this.#holding) return this.#host.abort('answers were withheld', false);
    this.#handing = true;
    this.#arm();
  }

  /** Takes no further requests, answers what is in flight, then finishes. What is withheld has no end. */
  drain(): void {
    if (this.#holding) return this.#host.abort('answers were withheld', false);
    this.#ending = true;
    this.#host.setReading(false);
    this.#arm();
  }

  /** The connection is gone; the socket writes into our memory no more. */
  close(): void {
    assert(!this.#closed, 'a transmission closes once');
    this.#closed = true;
    this.#inFlight.close();
    this.#payload.abandon();
    this.backend.disconnect(this.#epoch, this);
    this.#fence.close();
  }

  fenceOpened(): void {
    this.roomAvailable();
  }

  roomAvailable(): void {
    if (this.#stall === 'room') this.#stall = 'none';
    this.#arm();
  }

  budgetAvailable(): void {
    if (this.#stall === 'limit') this.#arm();
  }

  /** The end of a request, told by the backend from anywhere. */
  completed(ended: IoRequest, errno: number): void {
    const request = ended as NbdRequest;
    assert(request.active, 'a request completes once');
    request.active = false;
    if (this.#closed) {
      if (request.op === 'read' && errno === 0) this.backend.releaseRead(request);
      return;
    }
    if (errno !== 0 && this.#kernel !== undefined && this.backend.unavailable !== undefined) {
      this.#holding = true;
      if (!this.#inTurn) this.#arm();
      return;
    }
    this.#inFlight.end();
    if (this.#payload.incomplete(request)) {
      assert(errno !== 0, 'a write succeeds only with all of its data');
      this.#payload.errno = errno;
      return;
    }
    if (request.op !== 'read' || errno !== 0) {
      this.#answers.plain(request, errno);
      this.#recycle(request);
    } else {
      if (this.#answers.read(request)) this.backend.releaseRead(request);
      // Of a long answer the memory, its slabs or a copy, counts as in flight until it has left: see sent().
      if (request.length < DIRECT_PAYLOAD_BYTES) this.#recycle(request);
    }
    if (!this.#inTurn) this.#arm();
  }

  /** The last piece of a long read has left. */
  sent(request: NbdRequest): void {
    if (request.slabs.length > 0) this.backend.releaseRead(request);
    if (this.#closed) return;
    this.#recycle(request);
    this.written();
  }

  /** Some output has left. */
  written(): void {
    if (this.#stall === 'limit' || this.#handing) this.#arm();
  }

  /** Nothing taken is unanswered, and no answer is on its way. */
  get #isAtBoundary(): boolean {
    return this.#inFlight.count === 0 && this.#payload.request === undefined && this.#output.unsentBytes === 0;
  }

  /** Requests in flight, without a long write whose data never came. */
  get #unanswered(): number {
    return this.#payload.request?.active === true ? this.#inFlight.count - 1 : this.#inFlight.count;
  }

  #arm(): void {
    if (this.#armed || this.#closed) return;
    this.#armed = true;
    this.#host.arm();
  }

  /** Takes every complete request, bounded by what one read delivers. */
  #takeRequests(): void {
    const input = this.#input;
    this.#answers.turnBegins();
    while (!this.#ending && !this.#holding && !this.#closed) {
      if (this.#payload.request !== undefined && !this.#takePayload()) return;
      if (this.#handing) return;
      if (input.end - input.start < REQUEST_BYTES) return;
      const request = this.#next;
      if (!parseRequest(input.view, input.start, request)) return this.#host.abort('wrong request magic', true);
      if (this.#answers.hasHadTurn) this.#arm();
      if (this.#answers.hasHadTurn || this.#inFlight.isFull(request, this) || this.#output.unsentBytes >= NBD_UNSENT_BYTES_MAX) {
        this.#stall = 'limit';
        this.#metrics.stallsForLimits++;
        return;
      }
      if (this.#fence.isClosed && isChange(request.type)) {
        this.#stall = 'room';
        return;
      }
      if (!this.#takeRequest(request)) return;
      // The client works on the first answers while the rest of a long turn is taken.
      if (++this.requestsTaken % NBD_READS_PER_ROUND === 0 && request.type === CMD.read) this.#round();
    }
  }

  /** One request whose header is complete; false when it must wait for bytes or room, with nothing used up. */
  #takeRequest(request: NbdRequest): boolean {
    if (request.type === CMD.disc) {
      this.#input.start += REQUEST_BYTES;
      this.#ending = true;
      return true;
    }
    const errno = checkRequest(request, this.backend, this.#structured, this.#allocationContext);
    if (request.type === CMD.write) return this.#takeWrite(request, errno);
    if (errno !== 0 || (request.length === 0 && request.type !== CMD.flush)) {
      this.#answers.plain(request, errno);
    } else if (request.type === CMD.blockStatus) {
      this.#answers.status(request);
    } else if (request.type !== CMD.read || !this.#answers.readNow(request)) {
      request.op = opOf(request.type);
      this.#begin(request);
      if (request.type === CMD.read) this.backend.read(request);
      else if (request.type === CMD.flush) this.backend.flush(request);
      else if (!this.backend.discard(request)) return this.#noRoom(request);
    }
    this.#input.start += REQUEST_BYTES;
    return true;
  }

  #takeWrite(request: NbdRequest, errno: number): boolean {
    const input = this.#input;
    const { length } = request;
    if (length > NBD_PAYLOAD_BYTES_MAX) {
      this.#host.abort(`a write of ${length} bytes, more than ${NBD_PAYLOAD_BYTES_MAX}`, true);
      return false;
    }
    request.op = 'write';
    this.#longWrites = length >= READ_BYTES;
    if (errno !== 0 || length === 0) {
      input.start += REQUEST_BYTES;
      if (length === 0) this.#answers.plain(request, errno);
      else this.#payload.begin(request, errno);
      return true;
    }
    if (length >= DIRECT_PAYLOAD_BYTES) {
      input.start += REQUEST_BYTES;
      this.#begin(request);
      this.#payload.begin(request, 0);
      return true;
    }
    const size = REQUEST_BYTES + length;
    if (input.end - input.start < size) return false;
    this.#begin(request);
    if (!this.backend.write(request, input.bytes, input.start + REQUEST_BYTES)) return this.#noRoom(request);
    input.start += size;
    return true;
  }

  /** Goes on with a payload; true when it is complete. */
  #takePayload(): boolean {
    const payload = this.#payload;
    const request = payload.request;
    assert(request !== undefined, 'a payload is in progress');
    const before = payload.piecesAdmitted;
    const state = payload.take(this.#input);
    if (payload.piecesAdmitted > before) this.#uncommitted = true;
    if (state === 'room') this.#waitForRoom();
    if (state !== 'done') return false;
    payload.clear();
    if (payload.errno !== 0) {
      this.#answers.plain(request, payload.errno);
      // A request that the backend had accepted was taken out of #next; one that was refused is still there.
      if (request !== this.#next) this.#recycle(request);
    }
    return true;
  }

  /** The backend gets the request and owns it until completed(). */
  #begin(request: NbdRequest): void {
    request.active = true;
    this.#inFlight.begin(request);
    this.#uncommitted = true;
    this.#next = this.#pool.pop() ?? this.#fresh();
  }

  /** Takes back a request that the backend refused for lack of room. */
  #noRoom(request: NbdRequest): boolean {
    request.active = false;
    if (this.#closed) return false;
    this.#inFlight.end();
    this.#recycle(request);
    this.#waitForRoom();
    return false;
  }

  #waitForRoom(): void {
    this.#stall = 'room';
    this.#metrics.stallsForRoom++;
    this.backend.waitForRoom(this);
  }

  #recycle(request: NbdRequest): void {
    this.#inFlight.giveBack(request);
    if (request.slabs.length > 0) request.slabs.length = 0;
    this.#pool.push(request);
  }

  #fresh(): NbdRequest {
    const request = new NbdRequest();
    request.owner = this;
    request.epoch = this.#epoch;
    return request;
  }
}
