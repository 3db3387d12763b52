// The control socket: takes one request line at a time from each connection and answers it. Owns the socket file. Requests are bounded in
// size, time and number; who asked for a change is logged with the uid the kernel vouches for.

import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { expectedError, LvrError, messageOf } from '../core/errors.js';
import type { Log } from '../core/ports.js';
import { peerCredentials } from '../disk/system.js';
import {
  type ArgType,
  type ErrorDocument,
  MUTATING_VERBS,
  REQUEST_BYTES_MAX,
  toErrorDocument,
  VERB_ARGS,
  VERB_MS,
  type Verb,
  type Verbs,
} from './control-protocol.js';

const CONNECTIONS_MAX = 32;
/** A connection that says nothing for this long is closed. */
const IDLE_MS = 60_000;
/** How long a connection that was refused may go on sending. */
const LINGER_MS = 1_000;

/** What carries out the verbs. */
export type VerbHandlers = { readonly [V in Verb]: (args: Verbs[V]['args']) => Promise<Verbs[V]['result']> };

/** Serves the verbs until closed. */
export class ControlServer {
  readonly #path: string;
  readonly #handlers: VerbHandlers;
  readonly #log: Log;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(path: string, handlers: VerbHandlers, log: Log) {
    this.#path = path;
    this.#handlers = handlers;
    this.#log = log;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /**
   * Binds the socket (0660 in a directory 0750). A socket nobody serves is replaced; call refuseLiveAgent() first. Anything else there
   * stays, and is an error.
   */
  async listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o750 });
    if (lstatSync(this.#path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(this.#path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      throw new LvrError('FAILED', `the control socket ${this.#path} cannot be opened: ${messageOf(error)}`, { cause: error });
    });
    chmodSync(this.#path, 0o660);
  }

  /** Takes no new requests; removes the socket file and drops all connections. */
  async close(): Promise<void> {
    const { listening } = this.#server;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What stands there otherwise was never this server's.
    if (listening) rmSync(this.#path, { force: true });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let pending = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      pending += text;
      const end = pending.indexOf('\n');
      if ((end < 0 ? pending.length : end) > REQUEST_BYTES_MAX) {
        pending = '';
        this.#reject(socket, `a request is longer than ${REQUEST_BYTES_MAX} bytes`);
        return;
      }
      if (end < 0) return;
      const line = pending.slice(0, end);
      pending = pending.slice(end + 1);
      socket.pause();
      socket.setTimeout(0);
      void this.#answer(socket, line).finally(() => {
        socket.setTimeout(IDLE_MS);
        socket.resume();
        if (pending.includes('\n')) socket.emit('data', '');
      });
    });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    try {
      const { verb, args } = parseRequest(line);
      if (MUTATING_VERBS.has(verb)) this.#log.info('command', `${verb} asked for`, { verb, args, ...callerFields(socket) });
      const handler = this.#handlers[verb] as (args: unknown) => Promise<unknown>;
      send(socket, { result: await withDeadline(handler(args), verb) });
    } catch (error) {
      const expected = expectedError(error);
      // Anything else is a defect: it must reach the process and end it, not only this connection.
      if (expected === undefined) throw error;
      send(socket, { error: toErrorDocument(expected) });
    }
  }

  /** Says why and closes. What still comes is read and thrown away: the answer would be lost if the socket closed over it. */
  #reject(socket: Socket, reason: string): void {
    socket.removeAllListeners('data');
    socket.resume();
    send(socket, { error: toErrorDocument(new LvrError('USAGE', reason)) });
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }
}

/** Throws IN_USE when an agent serves this socket, naming its pid; a socket without an agent is nothing to worry about. */
export async function refuseLiveAgent(path: string): Promise<void> {
  const pid = await new Promise<number | undefined>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      const caller = callerOf(socket);
      socket.destroy();
      resolve(caller.pid);
    });
    socket.once('error', () => resolve(undefined));
  });
  if (pid === undefined) return;
  throw new LvrError('IN_USE', `an agent (pid ${pid}) already serves ${path}`, {
    hint: `lvr --agent ${path} agent stop`,
    details: { pid },
  });
}

/** Checks a request line. Throws USAGE. */
export function parseRequest(line: string): { verb: Verb; args: Record<string, unknown> } {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    throw new LvrError('USAGE', 'a request is not JSON');
  }
  const { verb, args = {} } = (request ?? {}) as { verb?: unknown; args?: unknown };
  // Only a text is shown: written out again, a value of some thousand levels would take more stack than there is.
  if (typeof verb !== 'string') throw new LvrError('USAGE', 'unknown verb: a request names its verb as a text');
  if (!Object.hasOwn(VERB_ARGS, verb)) throw new LvrError('USAGE', `unknown verb ${JSON.stringify(verb.slice(0, 80))}`);
  if (typeof args !== 'object' || args === null || Array.isArray(args)) throw new LvrError('USAGE', `args of ${verb} must be an object`);
  const types = VERB_ARGS[verb as Verb];
  for (const name of Object.keys(args))
    if (!Object.hasOwn(types, name)) throw new LvrError('USAGE', `${verb} takes no argument ${name.slice(0, 80)}`);
  for (const [name, type] of Object.entries(types)) {
    const value = (args as Record<string, unknown>)[name];
    if (value === undefined && type.endsWith('?')) continue;
    if (!isOfType(value, type)) throw new LvrError('USAGE', `${verb} needs ${name}`);
  }
  return { verb: verb as Verb, args: args as Record<string, unknown> };
}

function isOfType(value: unknown, type: ArgType): boolean {
  if (type === 'strings?') return Array.isArray(value) && value.every((item) => typeof item === 'string');
  return typeof value === (type === 'string?' ? 'string' : type);
}

function send(socket: Socket, response: { result: unknown } | { error: ErrorDocument }): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(response)}\n`);
}

/** Who is at the other end. Node keeps the descriptor in a handle without a public name. */
function callerOf(socket: Socket): { pid: number; uid: number } {
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) return { pid: -1, uid: -1 };
  const { pid, uid } = peerCredentials(fd);
  return { pid, uid };
}

function callerFields(socket: Socket): { callerPid: number; callerUid: number } {
  const { pid, uid } = callerOf(socket);
  return { callerPid: pid, callerUid: uid };
}

async function withDeadline<T>(work: Promise<T>, verb: Verb): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LvrError('TIMEOUT', `${verb} did not end within ${VERB_MS / 1000} s; it goes on`)), VERB_MS);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
