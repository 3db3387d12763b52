// A planned restart: the agent starts its successor itself, with the same command line, and lets it load everything before it stops. The
// kernel's sockets go from one to the other at a moment when nothing read from them is unanswered; what stands unread in them is read by
// the successor, so that the kernel sees no dead connection.
//
// Order: the successor is ready; the sockets are given away; the old agent closes everything and ends, and with it its locks; only then
// does the successor open anything. If either ends too early the other goes on alone, and the kernel's connections are made anew.

import { type ChildProcess, spawn } from 'node:child_process';
import type { HandedSocket } from '../attach/ports.js';
import { LvrError, messageOf } from '../core/errors.js';
import { binding } from '../disk/native.js';
import type { Legacy } from './ports.js';

/** Set in the command line of a successor. */
export const SUCCESSOR_OPTION = 'successor';

/** Functions are compiled while it loads, not one by one while clients wait: a third of the time that they wait. */
const COMPILE_FIRST = '--no-lazy';
/** Loading takes a second on a slow, busy machine. */
const READY_MS = 30_000;
/** The old agent first brings its volumes up to date while it still serves. */
const TURN_MS = 90_000;
const CHANNEL_FD = 4;
const CHANNEL_BYTES = 4 * 1024 * 1024;

/** What the two say to each other: the new one first. */
type Message =
  | { kind: 'ready' }
  | { kind: 'refused'; message: string }
  | { kind: 'sockets'; sockets: readonly { device: string; received: string }[] }
  | { kind: 'yours'; ends: Legacy['ends'] };

/** The successor as the old agent sees it: a process that has loaded everything and waits. */
export class Successor {
  readonly #child: ChildProcess;
  readonly #channel: number;

  private constructor(child: ChildProcess, channel: number) {
    this.#child = child;
    this.#channel = channel;
  }

  /** Starts it. Throws LvrError, with nothing changed, when it does not get ready. */
  static async start(): Promise<Successor> {
    const [own, theirs] = binding.socketPair(CHANNEL_BYTES);
    const options = process.execArgv.filter((word) => word !== COMPILE_FIRST);
    const parameters = [COMPILE_FIRST, ...options, ...process.argv.slice(1).filter((word) => word !== `--${SUCCESSOR_OPTION}`)];
    let child: ChildProcess;
    try {
      child = spawn(process.execPath, [...parameters, `--${SUCCESSOR_OPTION}`], { stdio: ['ignore', 'inherit', 'inherit', 'ipc', theirs] });
    } catch (error) {
      binding.close(own);
      throw notStarted(messageOf(error));
    } finally {
      binding.close(theirs);
    }
    const successor = new Successor(child, own);
    // Alone, it would take the end of this process for its turn.
    const alone = (): void => void child.kill('SIGKILL');
    process.once('exit', alone);
    try {
      await successor.#ready();
      return successor;
    } catch (error) {
      successor.abandon();
      throw error;
    } finally {
      process.off('exit', alone);
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (why: string): void => {
        clearTimeout(timer);
        reject(notStarted(why));
      };
      const timer = setTimeout(() => refuse(`it was not ready within ${READY_MS / 1000} s`), READY_MS);
      this.#child.once('error', (error) => refuse(error.message));
      this.#child.once('exit', (code, signal) => refuse(`it ended (${signal ?? `exit ${code}`})`));
      this.#child.once('message', (message: Message) => {
        if (message.kind === 'refused') return refuse(message.message);
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Gives the sockets away; they may be closed here afterwards. */
  async give(sockets: readonly HandedSocket[]): Promise<void> {
    for (const { fd } of sockets) binding.sendDescriptor(this.#channel, fd);
    const described = sockets.map(({ device, received }) => ({ device, received: Buffer.from(received).toString('base64') }));
    await this.#send({ kind: 'sockets', sockets: described });
  }

  /** Everything is closed here: its turn comes with the end of this process. `ends` says where the logs end. */
  async go(ends: Legacy['ends']): Promise<void> {
    await this.#send({ kind: 'yours', ends });
  }

  #send(message: Message): Promise<void> {
    return new Promise((resolve) => {
      this.#child.send(message, () => resolve());
    });
  }

  /** Ends the successor: this agent goes on. */
  abandon(): void {
    this.#child.kill('SIGKILL');
    binding.close(this.#channel);
  }
}

function notStarted(why: string): LvrError {
  return new LvrError('FAILED', `the new agent did not start, this one goes on: ${why}`, { hint: 'see the log; lvrd --version' });
}

/** In the successor: says that it is ready, and waits for its turn. Resolves with what the old agent left, nothing if it just ended. */
export async function awaitTurn(): Promise<Legacy> {
  if (!process.connected) throw new LvrError('USAGE', `--${SUCCESSOR_OPTION} is for the agent itself`, { hint: 'lvr agent restart' });
  let sockets: HandedSocket[] = [];
  let ends: Legacy['ends'] = {};
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new LvrError('TIMEOUT', 'the old agent did not give way')), TURN_MS);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    process.on('message', (message: Message) => {
      if (message.kind === 'sockets') {
        sockets = message.sockets.map(({ device, received }) => {
          return { device, fd: binding.receiveDescriptor(CHANNEL_FD), received: Buffer.from(received, 'base64') };
        });
      } else if (message.kind === 'yours') {
        ends = message.ends;
        end();
      }
    });
    process.once('disconnect', end);
    tell({ kind: 'ready' });
  });
  process.removeAllListeners('message');
  if (process.connected) process.disconnect();
  return { sockets, ends };
}

/** In a successor that cannot start: tells the old agent why. */
export function refuseTurn(why: string): void {
  if (process.connected) tell({ kind: 'refused', message: why });
}

function tell(message: Message): void {
  process.send?.(message);
}
