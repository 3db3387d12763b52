// A link of a chosen speed: a TCP relay on this machine that passes on so many bytes a second in each direction, or all it gets.
//
// It reads no more than it may pass on, so that what waits is with the sender, as with a real slow line; the sockets' own buffers are
// all it holds. Bytes that went to the server are counted.

import { connect, createServer, type Server, type Socket } from 'node:net';

const CONNECTIONS_MAX = 16;
/** A tick of the budget. */
const TICK_MS = 10;

export class SlowLink {
  readonly #targetPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  #rate = Number.POSITIVE_INFINITY;
  #budget = 0;
  #cut = false;
  #port = 0;
  /** Bytes passed on to the server since the beginning. */
  passedBytes = 0;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer({ noDelay: true, pauseOnConnect: true, highWaterMark: 65536 }, (socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** A relay on a free port to `targetPort` of this machine. */
  static async to(targetPort: number): Promise<SlowLink> {
    const link = new SlowLink(targetPort);
    await new Promise<void>((resolve) => link.#server.listen(0, '127.0.0.1', resolve));
    const address = link.#server.address();
    if (typeof address === 'object' && address) link.#port = address.port;
    return link;
  }

  /** Where it listens, as an address. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Bytes per second from now on; Infinity: as fast as it goes. */
  set rate(bytesPerSecond: number) {
    this.#rate = bytesPerSecond;
    this.#budget = 0;
    if (bytesPerSecond === Number.POSITIVE_INFINITY) this.#wake();
  }

  /** Breaks every connection and refuses new ones until join(). */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  join(): void {
    this.#cut = false;
  }

  close(): void {
    clearInterval(this.#timer);
    this.cut();
    this.#server.close();
  }

  #accept(client: Socket): void {
    if (this.#cut) {
      client.destroy();
      return;
    }
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('end', () => to.end());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroySoon();
      });
      this.#relay(from, to, from === client);
    }
  }

  #relay(from: Socket, to: Socket, isForward: boolean): void {
    const resume = (): void => {
      if (!from.destroyed && !to.writableNeedDrain) from.resume();
    };
    from.on('data', (bytes) => {
      to.write(bytes);
      if (isForward) this.passedBytes += bytes.length;
      this.#budget -= bytes.length;
      const isSpent = this.#rate !== Number.POSITIVE_INFINITY && this.#budget <= 0;
      if (isSpent) this.#waiting.add(resume);
      if (isSpent || to.writableNeedDrain) from.pause();
    });
    to.on('drain', () => {
      if (!this.#waiting.has(resume)) resume();
    });
    from.resume();
  }

  #tick(): void {
    if (this.#rate === Number.POSITIVE_INFINITY) return;
    this.#budget = Math.min((this.#rate * TICK_MS) / 1000, this.#budget + (this.#rate * TICK_MS) / 1000);
    if (this.#budget > 0) this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resume of waiting) resume();
  }
}
