// A block device that begins to fail when a test says so: an NBD export of nbdkit whose error filter looks for a file, behind nbdfuse and
// loop.

import { spawn } from 'node:child_process';
import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FuseAttacher } from '../../src/attach/fuse.js';
import type { Attachment } from '../../src/attach/ports.js';
import { until } from './command.js';
import type { Workspace } from './workspace.js';

/** What makes a device fail, what repairs it, and what undoes everything. */
export type Failing = { readonly spoil: () => void; readonly repair: () => Promise<void>; readonly undo: () => Promise<void> };

/** What fails: everything, or reads alone (parameters of the filter begin with it). */
type What = 'error' | 'error-pread';

/** Makes the device, with `path` as a symbolic link to it. After repair() the link leads to another device with the same content. */
export async function failingDevice(workspace: Workspace, name: string, path: string, sizeMib: number, what: What): Promise<Failing> {
  const directory = workspace.directory(`${name}-nbd`);
  const [socketPath, trigger] = ['nbd.sock', 'fails'].map((file) => join(directory, file)) as [string, string];
  const fails = [`${what}=EIO`, `${what}-rate=1`, `${what}-file=${trigger}`];
  workspace.adopt(spawn('nbdkit', ['-f', '-U', socketPath, '--filter=error', 'memory', `${sizeMib}M`, ...fails], { stdio: 'ignore' }));
  await until('nbdkit listens', 10_000, async () => (existsSync(socketPath) ? true : undefined));
  const attacher = new FuseAttacher(directory);
  const sizeBytes = sizeMib * 1024 * 1024;
  const request = { target: 'disk/failing', identity: name, socketPath, sizeBytes, blockBytes: 512, readOnly: false, device: undefined };
  const attach = async (): Promise<Attachment> => {
    const attachment = await attacher.attach(request, 'for a test', () => {});
    rmSync(path, { force: true });
    symlinkSync(attachment.device, path);
    return attachment;
  };
  let attachment = await attach();
  return {
    spoil: () => writeFileSync(trigger, ''),
    repair: async () => {
      rmSync(trigger);
      // As a new device would: what the kernel remembers of its errors goes with it.
      await attacher.detach(attachment);
      attachment = await attach();
    },
    undo: () => attacher.detach(attachment),
  };
}
