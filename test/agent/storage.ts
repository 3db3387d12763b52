// agent/storage.ts: state and logs on a volume of lvr are refused, through whatever is stacked in between.

import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseConfig } from '../../src/agent/config.js';
import { lvrDeviceBelow, type Roots, refuseOwnVolumes } from '../../src/agent/storage.js';
import { deviceNumber } from '../../src/disk/device-holders.js';

/** A made-up /sys in which this test's own directory is on whatever place() says. */
class Tree {
  readonly directory = mkdtempSync(join(tmpdir(), 'lvr-storage-'));
  readonly roots: Roots = { sys: join(this.directory, 'sys'), mounts: join(this.directory, 'mountinfo') };
  readonly number = deviceNumber(statSync(this.directory).dev);

  constructor(test: Test) {
    test.teardown(() => rmSync(this.directory, { recursive: true, force: true }));
    mkdirSync(join(this.roots.sys, 'dev/block'), { recursive: true });
  }

  /** A device; `files` are below its directory in /sys. */
  device(path: string, number: string, files: Record<string, string> = {}): void {
    const directory = join(this.roots.sys, 'devices', path);
    for (const [name, value] of Object.entries({ dev: number, ...files })) {
      mkdirSync(join(directory, name, '..'), { recursive: true });
      writeFileSync(join(directory, name), `${value}\n`);
    }
    symlinkSync(directory, join(this.roots.sys, 'dev/block', number));
  }

  found(): string | undefined {
    return lvrDeviceBelow(join(this.directory, 'not/yet/there'), this.roots);
  }
}

const LVR = { backend: 'lvr:0123/data@x' };

t.test('a file system on the device itself, or on a partition of it', async (t) => {
  const whole = new Tree(t);
  whole.device('nbd3', whole.number, LVR);
  t.equal(whole.found(), '/dev/nbd3');
  const part = new Tree(t);
  part.device('nbd3', '43:96', LVR);
  part.device('nbd3/nbd3p1', part.number, { partition: '1' });
  t.equal(part.found(), '/dev/nbd3');
});

t.test('device mapper and md on several devices, one of which is ours', async (t) => {
  const tree = new Tree(t);
  tree.device('sda', '8:0');
  tree.device('nbd0', '43:0', LVR);
  tree.device('md0', '9:0', { 'slaves/sda/dev': '8:0', 'slaves/nbd0/dev': '43:0' });
  tree.device('dm-0', tree.number, { 'slaves/md0/dev': '9:0' });
  t.equal(tree.found(), '/dev/nbd0');
});

t.test('a loop device on a file there, and a file system with a number of its own', async (t) => {
  const loop = new Tree(t);
  loop.device('loop0', '7:0', { 'loop/backing_file': join(loop.directory, 'image') });
  loop.device('nbd5', loop.number, LVR);
  loop.device('dm-1', '253:1', { 'slaves/loop0/dev': '7:0' });
  t.equal(loop.found(), '/dev/nbd5');
  const own = new Tree(t);
  writeFileSync(own.roots.mounts, `30 1 ${own.number} / / rw - btrfs /dev/lvr-no-such-device rw\n`);
  t.equal(own.found(), undefined, 'what cannot be found out is no reason to refuse');
});

t.test('nbd devices of others, other disks and circles are fine', async (t) => {
  const foreign = new Tree(t);
  foreign.device('nbd0', foreign.number, { backend: 'other' });
  t.equal(foreign.found(), undefined);
  const circle = new Tree(t);
  circle.device('dm-0', circle.number, { 'slaves/dm-1/dev': '253:1' });
  circle.device('dm-1', '253:1', { 'slaves/dm-0/dev': circle.number });
  t.equal(circle.found(), undefined);
  t.equal(lvrDeviceBelow('/proc/self'), undefined);
});

t.test('the message names the place, the device and the key to change', async (t) => {
  const tree = new Tree(t);
  tree.device('nbd3', tree.number, LVR);
  const config = (state: string, log: string): ReturnType<typeof parseConfig> =>
    parseConfig(
      `[agent]\nsite = "a"\nstate_dir = "${state}"\n[groups.app]\nrole = "primary"\nlog = { path = "${log}", size = "16MiB" }
[groups.app.volumes.data]\ndevice = "${tree.directory}/data"\nsize = "1MiB"\n`,
      'x',
    );
  const on = join(tree.directory, 'on');
  t.throws(() => refuseOwnVolumes(config(on, '/proc/log'), tree.roots), {
    code: 'IN_USE',
    message: `the state directory, ${on}, lies on /dev/nbd3, which is a volume of lvr itself`,
    hint: /agent\.state_dir/,
  });
  t.throws(() => refuseOwnVolumes(config('/proc/state', on), tree.roots), {
    message: /^the log of group app/,
    hint: /groups\.app\.log\.path/,
  });
  refuseOwnVolumes(config('/proc/state', '/proc/log'), tree.roots);
});
