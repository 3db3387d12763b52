// The network between the two sites of the demo: a TCP relay that can be cut and joined again.

import { connect, createServer, type Server, type Socket } from 'node:net';

const CONNECTIONS_MAX = 16;

/** Relays connections to a port of this machine; while cut, running ones are broken and new ones refused. */
export class LinkProxy {
  readonly #targetPort: () => number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;
  #port = 0;

  constructor(targetPort: () => number) {
    this.#targetPort = targetPort;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Where it listens. */
  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address === 'object' && address) this.#port = address.port;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  join(): void {
    this.#cut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #accept(inner: Socket): void {
    if (this.#cut) {
      inner.destroy();
      return;
    }
    const outer = connect({ port: this.#targetPort(), host: '127.0.0.1', noDelay: true });
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      this.#sockets.add(from);
      // pipe() passes an orderly end on behind the last byte; whatever breaks one side breaks the other.
      from.pipe(to);
      from.on('error', () => to.destroySoon());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroySoon();
      });
    }
  }
}
