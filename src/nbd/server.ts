// The NBD server: listeners, limits on connections, the sweep of deadlines, and an orderly stop.
//
// Owner of the listening sockets and of the set of connections. It knows volumes only through the registry. Order of stop(): listeners
// close first, then every connection answers what is in flight and closes, and what has not closed by the deadline is cut.

import { chmod, lstat, unlink } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type ListenOptions, type Server, Socket } from 'node:net';
import { LvrError, messageOf } from '../core/errors.js';
import { NBD_CONNECTIONS_MAX, NBD_CONNECTIONS_PER_ADDRESS_MAX } from '../core/limits.js';
import type { Backend, Clock, ReadSocket, SendSocket, SocketReader, Timer } from '../core/ports.js';
import { Budget } from './budget.js';
import { Connection, type ConnectionContext, type KernelLink } from './connection.js';
import { type ExportRegistry, transmissionFlags } from './exports.js';
import { Fences } from './fence.js';
import { NbdMetrics } from './metrics.js';
import { descriptorOf } from './socket.js';

/** Where to listen. A unix socket gets `mode`; port 0 takes any free port. */
export type NbdAddress = { kind: 'unix'; path: string; mode?: number } | { kind: 'tcp'; host: string; port: number };

/** Life of a connection, for the log. */
export type NbdEvent = {
  kind: 'opened' | 'closed' | 'refused';
  /** 0 for refused. */
  id: number;
  peer: string;
  exportName: string | undefined;
  /** Why it was closed or refused; empty for opened. */
  reason: string;
};

export type NbdServerOptions = {
  exports: ExportRegistry;
  clock: Clock;
  readSocket: ReadSocket;
  /** Many answers are sent by it; absent: by the sockets themselves. */
  sendSocket?: SendSocket;
  onEvent?: (event: NbdEvent) => void;
};

/** Whoever gave the kernel the other end of a connection. */
export interface KernelClient {
  /** The connection is gone; runs once. */
  closed(reason: string): void;
}

/** One connected client, for status. */
export type NbdClient = { id: number; peer: string; exportName: string | undefined; inFlight: number };

const SWEEP_MS = 1000;
const UNIX_SOCKET_MODE = 0o600;
const BACKLOG = 128;

/** Serves the registry's volumes to NBD clients. */
export class NbdServer {
  readonly metrics = new NbdMetrics();
  readonly #options: NbdServerOptions;
  readonly #context: ConnectionContext;
  readonly #listeners: Server[] = [];
  readonly #connections = new Set<Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly #addresses = new Map<Connection, string>();
  /** Connections of the kernel's client, and who is told when one is gone. */
  readonly #kernel = new Map<Connection, KernelClient>();
  #nextId = 1;
  #sweep: Timer | undefined;
  #stopping = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: NbdServerOptions) {
    this.#options = options;
    this.#context = {
      clock: options.clock,
      exports: options.exports,
      sendSocket: options.sendSocket,
      budget: new Budget(),
      fences: new Fences(options.clock),
      metrics: this.metrics,
      onOpened: (connection) => this.#event('opened', connection, ''),
      onClosed: (connection, reason) => this.#remove(connection, reason),
    };
  }

  /** Starts to accept on one more address; returns it with the port that was taken. Throws LvrError if the address cannot be had. */
  async listen(address: NbdAddress): Promise<NbdAddress> {
    if (address.kind === 'unix') await removeStaleSocket(address.path);
    const server = createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true, allowHalfOpen: true }, (socket) =>
      this.#accept(socket),
    );
    const where = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
    await startListening(server, { ...where, backlog: BACKLOG }, describe(address));
    // Failures of accept() (EMFILE and the like) concern the client that was not accepted, nobody else.
    server.on('error', () => this.metrics.connectionsRefused++);
    this.#listeners.push(server);
    if (address.kind === 'unix') {
      await chmod(address.path, address.mode ?? UNIX_SOCKET_MODE);
      return address;
    }
    return { ...address, port: (server.address() as AddressInfo).port };
  }

  /** Connected clients, handshaking ones included. */
  clients(): NbdClient[] {
    return [...this.#connections].map(({ id, peer, exportName, inFlight }) => ({ id, peer, exportName, inFlight }));
  }

  /** What the kernel is to be told about a volume. */
  kernelFlags(exportName: string): number {
    return transmissionFlags(this.#usable(exportName), false);
  }

  /**
   * Serves the kernel's client on a connected unix socket, which belongs to this server from now on; `client` is told when it is gone.
   * Throws LvrError, and leaves the socket alone, when the volume or the socket cannot be used.
   */
  serveKernel(exportName: string, fd: number, link: Omit<KernelLink, 'negotiated'>, client: KernelClient): void {
    const backend = this.#usable(exportName);
    const reader = this.#options.readSocket(fd);
    const socket = new Socket({ fd, writable: true, pauseOnCreate: true } as ConstructorParameters<typeof Socket>[0]);
    const negotiated = { backend, structured: false, allocationContext: false };
    this.#add(socket, reader, { link: { ...link, negotiated }, client });
  }

  /**
   * Stops the connections of the kernel between two requests, so that another process can go on with their sockets: `take` gets each
   * descriptor, open until stop(), with what was received and not taken. One that does not come to rest in time is closed.
   */
  async handOverKernel(take: (client: KernelClient, fd: number, received: Uint8Array) => void, deadlineMs: number): Promise<void> {
    const handing = [...this.#kernel].map(async ([connection, client]) => {
      const received = await connection.handOver();
      if (received !== undefined) take(client, connection.fd, received);
    });
    const deadline = this.#options.clock.after(deadlineMs, () => {
      for (const connection of [...this.#kernel.keys()]) if (!connection.isFrozen) connection.destroy('it did not come to rest');
    });
    await Promise.all(handing);
    deadline.cancel();
  }

  #usable(exportName: string): Backend {
    const backend = this.#options.exports.lookup(exportName);
    const refusal = this.#stopping ? 'the agent stops' : backend === undefined ? 'there is no such volume' : backend.unavailable;
    if (backend !== undefined && refusal === undefined) return backend;
    throw new LvrError('ROLE', `${exportName} cannot be served: ${refusal}`);
  }

  /** Looks at once whether the kernel has given connections up. */
  checkKernel(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const connection of [...this.#kernel.keys()]) connection.tick(nowMs);
  }

  /** Stops accepting, lets every connection answer what is in flight, and cuts those that are not done after `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    const listeners = this.#listeners.splice(0);
    // Closing does not wait for connections here: they have their own deadline below.
    for (const listener of listeners) listener.close();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const connection of [...this.#connections]) connection.drain();
    const deadline = this.#options.clock.after(deadlineMs, () => this.#cutAll());
    if (this.#connections.size > 0) await empty;
    deadline.cancel();
  }

  #cutAll(): void {
    for (const connection of [...this.#connections]) connection.destroy('the server stops');
  }

  #accept(socket: Socket): void {
    const address = socket.remoteAddress;
    const refusal = this.#refusal(address);
    if (refusal !== undefined) return this.#refuse(socket, refusal);
    let reader: SocketReader;
    try {
      reader = this.#options.readSocket(descriptorOf(socket));
    } catch (error) {
      if (!(error instanceof LvrError)) throw error;
      return this.#refuse(socket, error.message);
    }
    const connection = this.#add(socket, reader);
    if (address === undefined) return;
    this.#addresses.set(connection, address);
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
  }

  #refuse(socket: Socket, reason: string): void {
    this.metrics.connectionsRefused++;
    const event = { kind: 'refused', id: 0, peer: socket.remoteAddress ?? 'unix', exportName: undefined, reason } as const;
    socket.destroy();
    this.#options.onEvent?.(event);
  }

  #add(socket: Socket, reader: SocketReader, kernel?: { link: KernelLink; client: KernelClient }): Connection {
    this.metrics.connections++;
    this.metrics.connectionsAccepted++;
    const connection = new Connection(this.#nextId++, socket, reader, this.#context, kernel?.link);
    this.#connections.add(connection);
    if (kernel !== undefined) this.#kernel.set(connection, kernel.client);
    this.#sweep ??= this.#options.clock.after(SWEEP_MS, () => this.#tick());
    return connection;
  }

  #refusal(address: string | undefined): string | undefined {
    if (this.#stopping) return 'the server stops';
    if (this.#connections.size >= NBD_CONNECTIONS_MAX) return `more than ${NBD_CONNECTIONS_MAX} connections`;
    if (address !== undefined && (this.#perAddress.get(address) ?? 0) >= NBD_CONNECTIONS_PER_ADDRESS_MAX) {
      return `more than ${NBD_CONNECTIONS_PER_ADDRESS_MAX} connections from ${address}`;
    }
    return undefined;
  }

  /** One timer for all connections, running only while there are any. */
  #tick(): void {
    this.#sweep = undefined;
    const nowMs = this.#options.clock.nowMs();
    for (const connection of [...this.#connections]) connection.tick(nowMs);
    if (this.#connections.size > 0) this.#sweep = this.#options.clock.after(SWEEP_MS, () => this.#tick());
  }

  #remove(connection: Connection, reason: string): void {
    if (!this.#connections.delete(connection)) return;
    this.metrics.connections--;
    const address = this.#addresses.get(connection);
    this.#addresses.delete(connection);
    if (address !== undefined) {
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    }
    this.#event('closed', connection, reason);
    const client = this.#kernel.get(connection);
    this.#kernel.delete(connection);
    client?.closed(reason);
    if (this.#connections.size > 0) return;
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#onEmpty?.();
  }

  #event(kind: NbdEvent['kind'], connection: Connection, reason: string): void {
    const { id, peer, exportName } = connection;
    this.#options.onEvent?.({ kind, id, peer, exportName, reason });
  }
}

function describe(address: NbdAddress): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`;
}

function startListening(server: Server, options: ListenOptions, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const hint =
        error.code === 'EADDRINUSE' ? 'another agent may be running; stop it or choose another address' : 'check the nbd addresses';
      reject(new LvrError('FAILED', `cannot listen for NBD clients on ${name}: ${messageOf(error)}`, { hint, cause: error }));
    };
    server.once('error', onError);
    server.listen(options, () => {
      server.removeListener('error', onError);
      resolve();
    });
  });
}

/**
 * Removes the socket file of a process that is gone. One that somebody answers on stays, and so does anything that is no socket (connecting
 * to a plain file is refused as well): listening there will fail.
 */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || !found.isSocket()) return;
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect({ path }, () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (code === 'ECONNREFUSED') await unlink(path);
}
