// The kernel's nbd driver as an object: connect, reconfigure, disconnect, status, and who lost a link. One command at a time.
//
// Owner of the netlink socket, which stays open as long as the agent runs: a kernel may tie a device to the socket that connected it.
// A command that the kernel does not answer in time is given up: its thread and its socket stay behind, and the next command gets a new
// socket, since the old one may still deliver an answer that nobody waits for.

import { LvrError } from '../core/errors.js';
import type { Binding } from './native.js';
import {
  BACKEND_ATTRIBUTE,
  type DeviceArguments,
  type DeviceStatus,
  type Family,
  familyRequest,
  NBD_COMMAND,
  nbdRequest,
  parseFamily,
  parseIndex,
  parseLinkDead,
  parseStatus,
} from './netlink-message.js';

/** Longer than a healthy kernel needs to freeze a queue under load. */
const ANSWER_MS = 20_000;
const ENOENT = 2;

/** A command the kernel refused, with its errno. */
export class NetlinkError extends Error {
  readonly errno: number;

  constructor(command: string, errno: number) {
    super(`the kernel refused ${command} with errno ${errno}`);
    this.errno = errno;
  }
}

/** What the attacher needs of the driver; tests put a fake in its place. */
export interface NbdControl {
  /** Makes sure that the driver is there and can do what is needed; throws LvrError with the fix. */
  check(): Promise<void>;
  /** Makes a device and returns its index. Throws NetlinkError, or TIMEOUT. */
  connect(wanted: DeviceArguments): Promise<number>;
  /** Replaces dead sockets of a device. The kernel ignores sockets for which it has no dead one. */
  reconfigure(wanted: DeviceArguments): Promise<void>;
  disconnect(index: number): Promise<void>;
  status(): Promise<readonly DeviceStatus[]>;
  /** `onDead(index)` runs for every link the kernel loses from now on. Only hints: nobody may depend on them. */
  listen(onDead: (index: number) => void): void;
}

/** The real driver. */
export class NbdNetlink implements NbdControl {
  readonly #binding: Pick<Binding, 'netlinkOpen' | 'netlinkExchange' | 'netlinkListen'>;
  readonly #answerMs: number;
  #fd = -1;
  #sequence = 0;
  #family: Family | undefined;
  #isListening = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(binding: Pick<Binding, 'netlinkOpen' | 'netlinkExchange' | 'netlinkListen'>, answerMs = ANSWER_MS) {
    this.#binding = binding;
    this.#answerMs = answerMs;
  }

  async check(): Promise<void> {
    const { commands, maxAttribute } = await this.#resolve();
    const needed = [NBD_COMMAND.connect, NBD_COMMAND.disconnect, NBD_COMMAND.reconfigure];
    const isOld = maxAttribute < BACKEND_ATTRIBUTE || needed.some((command) => !commands.has(command));
    if (isOld) {
      throw new LvrError('ATTACH', 'the nbd of this kernel cannot be reconnected to a named backend', { hint: 'Linux 5.14 or later can' });
    }
  }

  async connect(wanted: DeviceArguments): Promise<number> {
    const index = parseIndex(await this.#command('connect', wanted));
    if (index === undefined) throw new LvrError('ATTACH', 'the kernel connected a device but did not say which');
    return index;
  }

  async reconfigure(wanted: DeviceArguments): Promise<void> {
    await this.#command('reconfigure', wanted);
  }

  async disconnect(index: number): Promise<void> {
    await this.#command('disconnect', { index });
  }

  async status(): Promise<readonly DeviceStatus[]> {
    return parseStatus(await this.#command('status', {}));
  }

  listen(onDead: (index: number) => void): void {
    if (this.#isListening || this.#family === undefined || this.#family.group === 0) return;
    this.#isListening = true;
    this.#binding.netlinkListen(this.#family.group, (message) => {
      const index = parseLinkDead(message);
      if (index !== undefined) onDead(index);
    });
  }

  async #command(name: keyof typeof NBD_COMMAND, wanted: DeviceArguments): Promise<Buffer> {
    const { id } = await this.#resolve();
    const { errno, replies } = await this.#exchange(name, (sequence) => nbdRequest(id, NBD_COMMAND[name], sequence, wanted));
    if (errno === 0) return replies;
    // The driver was loaded anew, under another number.
    if (errno === ENOENT) this.#family = undefined;
    throw new NetlinkError(name, errno);
  }

  async #resolve(): Promise<Family> {
    if (this.#family !== undefined) return this.#family;
    const { errno, replies } = await this.#exchange('the family nbd', (sequence) => familyRequest('nbd', sequence));
    const family = parseFamily(replies);
    if (errno !== 0 || family === undefined) {
      const why = errno === ENOENT ? 'this kernel has no nbd' : `the netlink family nbd cannot be found (errno ${errno})`;
      throw new LvrError('ATTACH', why, { hint: 'modprobe nbd' });
    }
    this.#family = family;
    return family;
  }

  /** Runs one exchange after the other. */
  #exchange(what: string, make: (sequence: number) => Buffer): Promise<{ errno: number; replies: Buffer }> {
    const result = this.#last.then(() => this.#exchangeNow(what, make));
    this.#last = result.catch(() => undefined);
    return result;
  }

  #exchangeNow(what: string, make: (sequence: number) => Buffer): Promise<{ errno: number; replies: Buffer }> {
    if (this.#fd < 0) this.#fd = this.#binding.netlinkOpen();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fd = -1;
        const hint = 'dmesg | grep -i nbd; a process that hangs in the kernel needs a reboot';
        reject(new LvrError('TIMEOUT', `netlink did not answer ${what} within ${this.#answerMs / 1000} s`, { hint }));
      }, this.#answerMs);
      this.#binding.netlinkExchange(this.#fd, make(++this.#sequence), (errno, replies) => {
        clearTimeout(timer);
        resolve({ errno, replies });
      });
    });
  }
}
