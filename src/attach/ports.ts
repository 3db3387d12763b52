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
};

/** Ways of attaching: `fuse` is nbdfuse with a loop device on its file. */
export type AttachWay = 'fuse';

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
  /** The mount point of the FUSE export. */
  readonly mountPoint: string;
  readonly readOnly: boolean;
  readonly blockBytes: number;
};

/** What this machine offers. `missing` says, in words and with the fix, why `usable` is false. */
export type Probe = { readonly usable: boolean; readonly missing: string; readonly hint: string };

/** One way of attaching. Calls are made one at a time. */
export interface Attacher {
  readonly way: AttachWay;
  probe(): Promise<Probe>;
  /** Makes the device; on failure everything it made is gone again. `onLost` runs when the device stops working by itself. */
  attach(request: AttachRequest, how: string, onLost: (reason: string) => void): Promise<Attachment>;
  /** Whether the device node is (still) this attachment's, working or not. */
  serves(attachment: Attachment): boolean;
  /** Removes the device; the caller has checked that nobody holds it. Also takes what is left of a dead one. */
  detach(attachment: Attachment): Promise<void>;
}
