// Accepts the byte streams of all groups of an agent: reads the hello and hands the stream to the link it is for. Owns a stream only
// until then. What is not a hello in time, or one for nobody, is closed; strangers cost a bounded number of streams and log lines.

import { LINK_HELLO_MS, LINK_UNKNOWN_MAX, LINK_UNKNOWN_PER_ADDRESS_MAX, MIB } from '../core/limits.js';
import type { Clock, Log, Slab, Timer } from '../core/ports.js';
import type { FrameType } from '../format/frame.js';
import { controlFrame, decodeHello, encodeRefused, type Hello, PROTOCOL_VERSION, type Refused } from '../format/wire.js';
import { Channel, type ChannelOwner } from './channel.js';
import { insecureRefusal, isLoopback } from './handshake.js';
import type { ByteStream, Network, Refusal } from './ports.js';

const LOG_INTERVAL_MS = 1000;
const RECEIVE_BYTES = MIB / 8;

/** A link as the listener needs it (see SiteLink.accept). */
export type Acceptor = { accept(stream: ByteStream, hello: Hello): Refusal | undefined };

/** A group as the listener needs it: the link to a site, undefined when none is configured. */
export type AcceptorGroup = { linkFor(site: string): Acceptor | undefined };

export type ListenerOptions = {
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Log;
  /** Name of this site. */
  readonly site: string;
  /** Plain TCP beyond this machine is allowed. */
  readonly insecure: boolean;
  readonly lookup: (group: string) => AcceptorGroup | undefined;
  /** A group is configured and cannot be used. Why is for who may ask the agent. */
  readonly hasFailed?: (group: string) => boolean;
};

export class Listener {
  readonly #options: ListenerOptions;
  readonly #callers = new Set<Caller>();
  #server: { port: number; close(): Promise<void> } | undefined;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;
  /** Streams closed without reaching a link. */
  rejected = 0;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Listens. Returns the port, which the system chose when `port` is 0. Rejects with the network's error. */
  async start(host: string, port: number): Promise<number> {
    this.#server = await this.#options.network.listen(host, port, (stream) => this.#accepted(stream));
    return this.#server.port;
  }

  /** Stops listening and closes the streams that have no link yet. */
  async close(): Promise<void> {
    for (const caller of this.#callers) caller.destroy();
    this.#callers.clear();
    await this.#server?.close();
    this.#server = undefined;
  }

  /** Streams whose hello is awaited or was just refused. */
  get unknownCount(): number {
    return this.#callers.size;
  }

  #accepted(stream: ByteStream): void {
    const address = stream.remote.replace(/:\d+$/, '');
    let fromAddress = 0;
    for (const caller of this.#callers) if (caller.address === address) fromAddress++;
    if (this.#callers.size >= LINK_UNKNOWN_MAX || fromAddress >= LINK_UNKNOWN_PER_ADDRESS_MAX) {
      stream.onClose(() => {});
      stream.destroy();
      return this.#reject(stream.remote, 'too many connections without a hello');
    }
    const caller = new Caller(this.#options, stream, address, (reason) => {
      this.#callers.delete(caller);
      if (reason !== undefined) this.#reject(stream.remote, reason);
    });
    this.#callers.add(caller);
    caller.start();
  }

  #reject(remote: string, reason: string): void {
    this.rejected++;
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#loggedMs < LOG_INTERVAL_MS) {
      this.#unlogged++;
      return;
    }
    this.#options.log.warn('link-rejected', `connection from ${remote} was closed: ${reason}`, { remote, unlogged: this.#unlogged });
    this.#loggedMs = nowMs;
    this.#unlogged = 0;
  }
}

/** A stream until its hello. `done` is called once: without a reason when a link took the stream over. */
class Caller implements ChannelOwner {
  readonly address: string;
  readonly #options: ListenerOptions;
  readonly #stream: ByteStream;
  readonly #channel: Channel;
  readonly #done: (reason: string | undefined) => void;
  #timer: Timer | undefined;
  #reason: string | undefined;
  #isDone = false;

  constructor(options: ListenerOptions, stream: ByteStream, address: string, done: (reason: string | undefined) => void) {
    this.address = address;
    this.#options = options;
    this.#stream = stream;
    this.#done = done;
    this.#channel = new Channel(stream, this, options.clock, RECEIVE_BYTES);
  }

  start(): void {
    if (!this.#options.insecure && !isLoopback(this.#stream.remote)) return this.#refuse(insecureRefusal(this.#stream.remote));
    this.#timer = this.#options.clock.after(LINK_HELLO_MS, () => {
      this.#channel.destroy();
      this.#finish('no hello in time');
    });
  }

  destroy(): void {
    this.#channel.destroy();
    this.#finish('the agent stops');
  }

  control(type: FrameType, message: Uint8Array): void {
    if (type !== 'hello') return this.violated(`${type} frame before a hello`);
    const hello = decodeHello(message);
    if (typeof hello === 'string') return this.violated(hello);
    if (!('group' in hello)) return this.violated(`protocol version ${hello.protocol}, this is ${PROTOCOL_VERSION}`);
    if (this.#channel.unparsedBytes > 0) return this.violated('bytes behind a hello');
    const refusal = this.#route(hello);
    if (refusal !== undefined) return this.#refuse(refusal);
    this.#channel.detach();
    this.#finish(undefined);
  }

  payload(type: FrameType, _bytes: Uint8Array, _start: number, _length: number, _payloadBytes: number): Slab | undefined {
    this.violated(`${type} frame before a hello`);
    return undefined;
  }

  payloadComplete(): void {}

  turnEnded(): void {}

  violated(reason: string): void {
    this.#refuse({ code: 'PROTOCOL', reason });
  }

  closed(): void {
    this.#finish(this.#reason ?? 'closed before a hello');
  }

  #route(hello: Hello): Refusal | undefined {
    const { site, lookup, hasFailed } = this.#options;
    if (hello.toSite !== site) return { code: 'WRONG_GROUP', reason: `site ${hello.toSite} was meant, this is ${site}` };
    const group = lookup(hello.group);
    if (group === undefined && hasFailed?.(hello.group) === true) {
      return { code: 'FAILED', reason: `group ${hello.group} has failed at site ${site}: lvr status there says why` };
    }
    if (group === undefined) return { code: 'WRONG_GROUP', reason: `site ${site} has no group ${hello.group}` };
    const link = group.linkFor(hello.fromSite);
    if (link === undefined) return { code: 'WRONG_GROUP', reason: `site ${site} has no site ${hello.fromSite} in group ${hello.group}` };
    return link.accept(this.#stream, hello);
  }

  /** The stream stays counted until the other end closed it or the lingering is over. */
  #refuse(refusal: Refused): void {
    this.#timer?.cancel();
    this.#reason = refusal.reason;
    this.#channel.close(controlFrame('refused', encodeRefused(refusal)));
  }

  #finish(reason: string | undefined): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#timer?.cancel();
    this.#done(reason);
  }
}
