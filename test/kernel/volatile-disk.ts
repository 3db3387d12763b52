// The disk of the power cuts itself: what a cut keeps and loses, and that nothing from before the cut arrives after it.

import t, { type Test } from 'tap';
import { FLAG_FUA, NbdClient } from '../helpers/nbd-client.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';
import { VolatileDisk } from './vm/volatile-disk.js';

const SECTOR = 512;
const workspace = new Workspace('volatile');
t.teardown(() => workspace.dispose());

/** A disk of 1 MiB in its first state, with a connection to it. */
async function diskAndClient(t: Test, name: string): Promise<[VolatileDisk, NbdClient]> {
  const disk = await VolatileDisk.make(workspace, name, Buffer.alloc(1048576));
  t.teardown(() => disk.close());
  return [disk, await NbdClient.connect(disk.socket, 'disk')];
}

t.test('a cut keeps what was flushed or written with FUA, and may lose everything else', async (t) => {
  const [disk, client] = await diskAndClient(t, 'cut');
  await client.write(0, Buffer.alloc(SECTOR, 1));
  await client.flush();
  await client.write(SECTOR, Buffer.alloc(SECTOR, 2), FLAG_FUA);
  await client.write(0, Buffer.alloc(SECTOR, 3));
  await client.write(2 * SECTOR, Buffer.alloc(SECTOR, 4));
  t.same(disk.cut(new Random(1), 0), { kept: 0, lost: 2 });
  disk.powerOn();
  const after = await NbdClient.connect(disk.socket, 'disk');
  const data = await after.read(0, 3 * SECTOR);
  t.same([data[0], data[SECTOR], data[2 * SECTOR]], [1, 2, 0]);
  await after.close();
});

t.test('what was on its way when the power went does not reach the disk after it is on again', async (t) => {
  const [disk, client] = await diskAndClient(t, 'late');
  await client.write(0, Buffer.alloc(SECTOR, 1), FLAG_FUA);
  disk.cut(new Random(1), 0);
  disk.powerOn();
  await t.rejects(client.write(0, Buffer.alloc(SECTOR, 9), FLAG_FUA), 'its connection ended with the power');
  const after = await NbdClient.connect(disk.socket, 'disk');
  t.equal((await after.read(0, SECTOR))[0], 1);
  await after.close();
});
