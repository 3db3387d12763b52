// The private network of test machines: a switch in this process that hands every frame to all other machines. Nothing of it is visible
// outside; machines come and go, and the test can cut it.
//
// QEMU's stream sockets carry frames with a length of 4 bytes in front. A machine that does not read is not waited for beyond a bound:
// frames for it are dropped then, as a switch does.

import { createServer, type Server, type Socket } from 'node:net';
import type { Workspace } from '../../helpers/workspace.js';

const QUEUE_BYTES_MAX = 4 * 1024 * 1024;
const LENGTH_BYTES = 4;

/** One private network. */
export class LanSwitch {
  readonly socket: string;
  /** While set, no frame gets through: the machines see each other no more, and no connection is closed. */
  cut = false;
  #dropped = 0;
  readonly #server: Server;
  readonly #ports = new Set<Socket>();

  private constructor(socket: string) {
    this.socket = socket;
    this.#server = createServer((port) => this.#joined(port));
  }

  /** Makes a network that ends with the workspace. */
  static async make(workspace: Workspace): Promise<LanSwitch> {
    const made = new LanSwitch(workspace.file('lan.sock'));
    await new Promise<void>((resolve, reject) => made.#server.on('error', reject).listen(made.socket, resolve));
    workspace.onDispose(() => made.close());
    return made;
  }

  /** Frames that were lost because the receiver was too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  close(): void {
    this.#server.close();
    for (const port of this.#ports) port.destroy();
  }

  #joined(port: Socket): void {
    this.#ports.add(port);
    let held: Buffer = Buffer.alloc(0);
    port.on('data', (piece) => {
      const bytes = held.length === 0 ? (piece as Buffer) : Buffer.concat([held, piece as Buffer]);
      let end = 0;
      while (bytes.length - end >= LENGTH_BYTES) {
        const next = end + LENGTH_BYTES + bytes.readUInt32BE(end);
        if (next > bytes.length) break;
        end = next;
      }
      if (end > 0) this.#forward(port, bytes.subarray(0, end));
      held = bytes.subarray(end);
    });
    port.on('error', () => port.destroy());
    port.on('close', () => this.#ports.delete(port));
  }

  /** Whole frames, as many as came together. */
  #forward(from: Socket, frames: Buffer): void {
    if (this.cut) return;
    for (const port of this.#ports) {
      if (port === from) continue;
      if (port.writableLength > QUEUE_BYTES_MAX) this.#dropped++;
      else port.write(frames);
    }
  }
}
