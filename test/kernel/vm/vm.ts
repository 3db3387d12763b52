// A test machine: starts it, runs scripts in it, kills it. Owner of the QEMU process; the workspace ends it in any case, and the machine
// itself goes off when the control socket closes, so that nothing is left when this process is killed.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import type { Workspace } from '../../helpers/workspace.js';
import { codeArchive } from './code.js';
import { prepareImage, type VmImage } from './image.js';
import { kvmLooksUsable, qemuParameters, type VmOptions } from './qemu.js';

const START_TCG_MS = 120_000;
const START_KVM_MS = 20_000;
const STOP_MS = 20_000;
/** After the deadline of a script the guest ends it; this much later the machine itself is taken for dead. */
const GRACE_MS = 15_000;
const CONSOLE_CHARS = 16_384;
const OUTPUT_CHARS_MAX = 4 * 1024 * 1024;

/** What a script came to. `code` is 124 when its deadline ended it, -1 when the machine was gone. */
export interface ScriptResult {
  readonly code: number;
  /** Standard output and standard error together. */
  readonly output: string;
}

/** How a script runs. */
export interface ScriptOptions {
  readonly timeoutMs?: number;
  /** Called with every line as it comes. */
  readonly onLine?: (line: string) => void;
}

interface Running {
  output: string;
  readonly onLine: ((line: string) => void) | undefined;
  readonly end: (code: number) => void;
}

let kvm = kvmLooksUsable();
let count = 0;

/** One machine, running or off. It can be started again after it ended; only what is on its disks is still there then. */
export class Vm {
  readonly name: string;
  readonly #workspace: Workspace;
  readonly #options: VmOptions;
  readonly #scripts = new Map<string, Running>();
  #child: ChildProcess | undefined;
  #control: Socket | undefined;
  #console = '';
  #scriptCount = 0;

  constructor(workspace: Workspace, options: VmOptions = {}) {
    this.#workspace = workspace;
    this.#options = options;
    this.name = options.name ?? 'vm';
  }

  /** Makes a machine and starts it. */
  static async start(workspace: Workspace, options: VmOptions = {}): Promise<Vm> {
    const vm = new Vm(workspace, options);
    await vm.start();
    return vm;
  }

  /** Boots; resolves with the milliseconds it took until scripts can run. */
  async start(): Promise<number> {
    const image = { ...(await prepareImage()), code: await codeArchive(this.#workspace) };
    const startMs = performance.now();
    if (kvm) {
      try {
        await this.#boot(image, true, START_KVM_MS);
        return performance.now() - startMs;
      } catch {
        kvm = false;
        await this.kill();
      }
    }
    await this.#boot(image, false, START_TCG_MS);
    return performance.now() - startMs;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what the kernel printed. */
  get console(): string {
    return this.#console;
  }

  /** Runs a bash script as root. Several may run at once. What it leaves running must have its output redirected. */
  script(text: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    const timeoutMs = options.timeoutMs ?? 60_000;
    const control = this.#control;
    if (control === undefined) return Promise.resolve({ code: -1, output: `${this.name} does not run` });
    const id = `s${++this.#scriptCount}`;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const running = this.#scripts.get(id);
        if (running !== undefined) running.output += `\n${this.name}: no answer to the deadline of ${timeoutMs} ms\n${this.console}`;
        running?.end(-1);
      }, timeoutMs + GRACE_MS);
      const end = (code: number): void => {
        clearTimeout(timer);
        const output = this.#scripts.get(id)?.output ?? '';
        this.#scripts.delete(id);
        resolve({ code, output });
      };
      this.#scripts.set(id, { output: '', onLine: options.onLine, end });
      control.write(`${id} ${timeoutMs / 1000} ${Buffer.from(text).toString('base64')}\n`);
    });
  }

  /** As script(), but a failure is an error that says what was printed, then what was run. Returns the output. */
  async run(text: string, options: ScriptOptions = {}): Promise<string> {
    const { code, output } = await this.script(`set -euo pipefail\n${text}`, options);
    if (code !== 0) throw new Error(`in ${this.name}, exit ${code}, it printed:\n${output.slice(-6000)}\n--- the script was\n${text}`);
    return output;
  }

  /** Power off without warning: the memory of the guest is lost. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Flushes the guest's disks and turns it off. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const ended = once(child, 'exit');
    void this.script('sync; echo o >/proc/sysrq-trigger; sleep 60');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  async #boot(image: VmImage, withKvm: boolean, timeoutMs: number): Promise<void> {
    this.#control?.destroy();
    this.#disconnected();
    const path = this.#workspace.file(`vm${++count}.sock`);
    const server = createServer((socket) => {
      server.close();
      this.#connected(socket);
    });
    await new Promise<void>((resolve, reject) => server.on('error', reject).listen(path, resolve));
    this.#console = '';
    const child = spawn('qemu-system-x86_64', qemuParameters(image, this.#options, { control: path }, withKvm), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = this.#workspace.adopt(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => {
        this.#console = (this.#console + piece).slice(-CONSOLE_CHARS);
      });
    }
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const failed = (why: string): void => reject(new Error(`${this.name} did not start: ${why}\n${this.#console}`));
        timer = setTimeout(() => failed(`not ready after ${timeoutMs} ms`), timeoutMs);
        this.#scripts.set('ready', { output: '', onLine: undefined, end: () => resolve() });
        child.once('error', (error) => failed(error.message));
        child.once('exit', (code, signal) => failed(`qemu ended with ${code ?? signal}`));
      });
    } finally {
      clearTimeout(timer);
      this.#scripts.delete('ready');
      server.close();
      rmSync(path, { force: true });
    }
  }

  #connected(socket: Socket): void {
    this.#control = socket;
    let held = '';
    socket.setEncoding('utf8').on('data', (piece: string) => {
      const lines = (held + piece).split('\n');
      held = lines.pop() as string;
      for (const line of lines) this.#line(line);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      // The socket of a killed machine may close after the next start has begun.
      if (this.#control === socket) this.#disconnected();
    });
  }

  #disconnected(): void {
    this.#control = undefined;
    for (const running of [...this.#scripts.values()]) running.end(-1);
  }

  #line(line: string): void {
    if (line === 'ready') this.#scripts.get('ready')?.end(0);
    const [first, id, code] = line.split(' ') as [string, string?, string?];
    if (first === 'exit' && id !== undefined) {
      this.#scripts.get(id)?.end(Number(code));
      return;
    }
    const running = this.#scripts.get(first);
    if (running === undefined || first === 'ready') return;
    const text = line.slice(first.length + 1);
    if (running.output.length < OUTPUT_CHARS_MAX) running.output += `${text}\n`;
    running.onLine?.(text);
  }
}
