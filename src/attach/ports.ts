// A volume as a block device of this machine: what is asked for, what was made of it, and the two ways of making it.

/** What to attach. */
export type AttachRequest = {
  /** `group/volume`, also the NBD export name. */
  readonly target: string;
  /** Unix socket of the agent's NBD server. */
  readonly socketPath: string;
  readonly sizeBytes: number;
  /** Logical sector size of the device: the export's smallest block. */
  readonly blockBytes: number;
  readonly readOnly: boolean;
  /** A certain device node, or undefined for any free one. */
  readonly device: string | undefined;
  /** What the device holds, so that it can never be given other data: see identity.ts. */
  readonly identity: string;
};

/** Ways of attaching: `nbd` is the kernel's client, `fuse` is nbdfuse with a loop device on its file. */
export type AttachWay = 'nbd' | 'fuse';

/** A volume that is attached. Kept in state_dir/attachments.json, so only plain values. */
export type Attachment = {
  readonly target: string;
  readonly device: string;
  readonly way: AttachWay;
  /** The way in words, with the reason for it. */
  readonly how: string;
  /** A stable name of the device. */
  readonly link: string;
  /** Process that serves the device, and its start time in clock ticks since boot (a pid alone may be reused). */
  readonly pid: number;
  readonly pidStart: string;
  /** The mount point of the FUSE export; '' for the kernel's client. */
  readonly mountPoint: string;
  readonly readOnly: boolean;
  readonly blockBytes: number;
  /** As in AttachRequest. */
  readonly identity: string;
  /** Sockets that the kernel was given when it was connected; it never takes more. Absent where there are none, or it is not known. */
  readonly connections?: number;
};

/** What this machine offers. `missing` says, in words and with the fix, why `usable` is false. */
export type Probe = { readonly usable: boolean; readonly missing: string; readonly hint: string };

/** Told when a device stops working by itself. */
export type OnLost = (reason: string) => void;

/** One way of attaching. Calls are made one at a time. */
export interface Attacher {
  readonly way: AttachWay;
  /** Devices outlive the agent: their users wait, and the next agent goes on with resume(). */
  readonly outlives: boolean;
  /** What the devices are, in words. */
  readonly words: string;
  /** Whether a certain device node can be made in this way. */
  makes(device: string): boolean;
  probe(): Promise<Probe>;
  /** Makes the device; on failure everything it made is gone again. `onLost` runs when the device stops working by itself. */
  attach(request: AttachRequest, how: string, onLost: OnLost): Promise<Attachment>;
  /** Goes on serving a device that another agent process left behind. Throws ATTACH when it cannot be. Only for devices that outlive it. */
  resume(attachment: Attachment, request: AttachRequest, onLost: OnLost): Promise<Attachment>;
  /** Whether the device node is (still) this attachment's, working or not. */
  serves(attachment: Attachment): boolean;
  /** The agent ends: the device is left as it is. Only for devices that outlive it. */
  leave(attachment: Attachment): void;
  /** Nothing further will be resumed. */
  restored(): void;
  /** Removes the device; the caller has checked that nobody holds it. Also takes what is left of a dead one. */
  detach(attachment: Attachment): Promise<void>;
}

/** Whoever gave the kernel the other end of a connection. */
export interface KernelClient {
  /** The connection is gone; runs once. */
  closed(reason: string): void;
}

/** The agent's NBD server, as far as the kernel's client needs it. */
export interface KernelServer {
  /** Transmission flags of a volume. Throws LvrError when it cannot be used. */
  flags(target: string): number;
  /**
   * What the volume is now, as in AttachRequest. Throws LvrError when it cannot be served until somebody changes that: its group is
   * secondary or has failed, or there is none.
   */
  identity(target: string): string;
  /** Takes the socket over and serves it. Throws LvrError, with the socket left alone, when the volume cannot be used now. */
  serve(target: string, fd: number, received: Uint8Array, client: KernelClient): void;
  /** The kernel has given some connection up. */
  check(): void;
}

/** A socket of the kernel that a predecessor served: the server's end, and what it had received and not taken. */
export type HandedSocket = { readonly device: string; readonly fd: number; readonly received: Uint8Array };
