// Where payloads may lie in a frame whose records are of volumes with different blocks.

import t from 'tap';
import type { Lsn } from '../../src/core/ids.js';
import { DIRECT_PAYLOAD_BYTES } from '../../src/core/limits.js';
import { putRecordsMeta, RECORDS_META_HEADER_BYTES, recordsMetaBytes } from '../../src/format/frame.js';
import { IDENTITY_BYTES, IDENTITY_START, putIdentity } from '../../src/format/record.js';
import { Channel } from '../../src/link/channel.js';
import type { Refusal } from '../../src/link/ports.js';
import { Receiver } from '../../src/link/receiver.js';
import { FakeGroup } from './fake-group.js';
import { FakeClock, MemoryNetwork } from './memory-network.js';

const RECORD_HEADER_BYTES = 128;
type Write = { readonly volume: number; readonly length: number };

/** What a secondary with a volume of 512 byte blocks and one of 4096 says to a frame of these writes. */
async function told(writes: readonly Write[]): Promise<Refusal | undefined> {
  const network = new MemoryNetwork();
  await network.listen('host', 1, () => {});
  const channel = new Channel(
    await network.connect('host', 1, 1000),
    { control() {}, payload: () => undefined, payloadComplete() {}, turnEnded() {}, violated() {}, closed() {} },
    new FakeClock(),
  );
  const group = new FakeGroup('b', 'secondary');
  group.volumeList = [512, 4096].map((blockBytes) => ({ name: `v${blockBytes}`, sizeBytes: 1 << 30, blockBytes }));
  const receiver = new Receiver(group, channel, new FakeClock(), 1, 1, 'async');
  const meta = new Uint8Array(recordsMetaBytes(writes.length));
  putRecordsMeta(meta, 0, 0, writes.length);
  let payloadBytes = 0;
  for (const [i, { volume, length }] of writes.entries()) {
    const header = new Uint8Array(RECORD_HEADER_BYTES);
    const lsn = (i + 1) as Lsn;
    putIdentity(header, 0, { lsn, epoch: 1, incarnation: 1, timeUs: 1, offset: 0, length, volume, kind: 'write', mayUnmap: false });
    meta.set(header.subarray(IDENTITY_START, IDENTITY_START + IDENTITY_BYTES), RECORDS_META_HEADER_BYTES + i * IDENTITY_BYTES);
    payloadBytes += length;
  }
  const answer = receiver.records(meta, 0, meta.length, payloadBytes);
  if (answer === undefined) throw new Error('there is room');
  return 'code' in answer ? answer : undefined;
}

t.test('a long payload lies on a block of its volume, a short one anywhere: everything else could not be applied', async (t) => {
  const small: Write = { volume: 0, length: 512 };
  const refusal = { code: 'PROTOCOL', reason: 'LSN 2 is long, and between blocks' };
  t.equal(await told([small, { volume: 1, length: DIRECT_PAYLOAD_BYTES }]), undefined, 'short');
  t.same(await told([small, { volume: 1, length: DIRECT_PAYLOAD_BYTES + 4096 }]), refusal);
  t.equal(await told([small, { volume: 0, length: DIRECT_PAYLOAD_BYTES + 4096 }]), undefined, 'on a block of its own volume');
  t.equal(await told([{ volume: 1, length: DIRECT_PAYLOAD_BYTES + 4096 }, small]), undefined, 'the first');
  t.equal(
    await told([
      { volume: 0, length: 4096 },
      { volume: 1, length: 1 << 19 },
    ]),
    undefined,
    'behind a whole block',
  );
});
