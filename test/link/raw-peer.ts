// The other end of a stream, frame by frame: says whatever a test wants, in any order, and keeps what it hears.

import type { SiteHistory } from '../../src/core/reconnect.js';
import { FRAME_HEADER_BYTES, type FrameType, readFrameHeader } from '../../src/format/frame.js';
import { controlFrame, decodeRefused, encodeHello, type Hello, PROTOCOL_VERSION } from '../../src/format/wire.js';
import type { ByteStream } from '../../src/link/ports.js';
import { FAKE_UUID } from './fake-group.js';
import type { World } from './world.js';

export class RawPeer {
  readonly stream: ByteStream;
  #bytes = new Uint8Array(0);
  readonly heard: { type: FrameType; meta: Uint8Array; payloadBytes: number }[] = [];
  isClosed = false;

  constructor(stream: ByteStream) {
    this.stream = stream;
    const memory = new Uint8Array(1 << 16);
    stream.onReceive(
      () => memory,
      (length) => {
        const bytes = new Uint8Array(this.#bytes.length + length);
        bytes.set(this.#bytes);
        bytes.set(memory.subarray(0, length), this.#bytes.length);
        this.#bytes = bytes;
        this.#parse();
      },
    );
    stream.onClose(() => {
      this.isClosed = true;
    });
  }

  /** Connects to the listener of site b (as site a) or a. */
  static async connect(world: World, to: 'a' | 'b' = 'b'): Promise<RawPeer> {
    const peer = new RawPeer(await world.network.connect('host', to === 'b' ? 7002 : 7001, 1000));
    await world.settle();
    return peer;
  }

  #parse(): void {
    for (;;) {
      if (this.#bytes.length < FRAME_HEADER_BYTES) return;
      const header = readFrameHeader(this.#bytes, 0);
      if (typeof header === 'string') throw new Error(header);
      const end = FRAME_HEADER_BYTES + header.metaBytes + header.payloadBytes;
      if (this.#bytes.length < end) return;
      const meta = this.#bytes.slice(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.metaBytes);
      this.heard.push({ type: header.type, meta, payloadBytes: header.payloadBytes });
      this.#bytes = this.#bytes.slice(end);
    }
  }

  send(bytes: Uint8Array): void {
    this.stream.write([bytes], undefined);
  }

  say(type: FrameType, message: Uint8Array): void {
    this.send(controlFrame(type, message));
  }

  get types(): string {
    return this.heard.map(({ type }) => type).join(' ');
  }

  /** The refusal heard last, as `CODE reason`. */
  get refusal(): string {
    const frame = this.heard.findLast(({ type }) => type === 'refused');
    const refused = frame === undefined ? '' : decodeRefused(frame.meta);
    return typeof refused === 'string' ? refused : `${refused.code} ${refused.reason}`;
  }
}

/** What a primary with this many records says of itself. */
export function primaryHistory(last: number): SiteHistory {
  const lineage = last === 0 ? [] : [{ epoch: 1, incarnation: 1, startLsn: 1, own: true }];
  return {
    site: 'a',
    role: 'primary',
    groupUuid: FAKE_UUID,
    blank: false,
    bornZero: true,
    epoch: 1,
    lineage,
    trimmed: 0,
    applied: last,
    last,
    resync: '',
    bitmap: undefined,
  };
}

/** The hello of site a to site b, with changes. */
export function helloOf(change: Partial<Hello> = {}): Hello {
  return {
    protocol: PROTOCOL_VERSION,
    features: 0,
    group: 'app',
    fromSite: 'a',
    toSite: 'b',
    session: 77,
    history: primaryHistory(0),
    volumes: [{ name: 'data', sizeBytes: 1 << 30, blockBytes: 512 }],
    frameBytesMax: 1 << 24,
    logBytes: 0,
    ...change,
  };
}

/** An encoded hello frame. */
export function helloFrame(change: Partial<Hello> = {}): Uint8Array {
  return controlFrame('hello', encodeHello(helloOf(change)));
}
