// Clients that do not take their answers, beside one that does: with the memory for reads that a group has.

import t from 'tap';
import { MIB } from '../../src/core/limits.js';
import type { Arena, Device, IoRequest, IoTarget } from '../../src/core/ports.js';
import { Overlay } from '../../src/group/overlay.js';
import { Reads } from '../../src/group/reads.js';
import { MemoryBackend } from '../helpers/memory-backend.js';
import { type RawClient, request, ServerFixture, until } from '../helpers/nbd-raw-client.js';

const READ = 0;
const VOLUME = 64 * MIB;

/** A volume whose reads go through the slabs of a group. */
class GroupReads extends MemoryBackend {
  started = 0;
  readonly #reads: Reads;

  constructor() {
    super({ sizeBytes: VOLUME });
    for (let at = 0; at < VOLUME; at += 4096) this.data.writeUInt32LE(at, at);
    const read = (arena: Arena, start: number, length: number, offset: number, target: IoTarget, tag: number): void => {
      arena.bytes.set(this.data.subarray(offset, offset + length), start);
      setImmediate(() => target.ioDone(tag, 0));
    };
    const device = { path: 'memory', sizeBytes: VOLUME, blockBytes: 512, read, kick() {} } as unknown as Device;
    this.#reads = new Reads([device], new Overlay(1), (bytes) => ({ bytes: new Uint8Array(bytes), address: 0 }), {
      isOver: false,
      partFailed() {},
      answer() {},
    });
  }

  override get isShortOfReads(): boolean {
    return this.#reads.isShort;
  }

  override read(wanted: IoRequest): void {
    this.started++;
    this.#reads.read(0, wanted);
  }

  override releaseRead(done: IoRequest): void {
    this.#reads.release(done);
  }
}

async function wantsAnswer(client: RawClient, cookie: bigint, offset: number, length: number, backend: MemoryBackend): Promise<boolean> {
  const answer = await client.simple();
  const data = await client.read(length);
  return answer.error === 0 && answer.cookie === cookie && data.equals(backend.data.subarray(offset, offset + length));
}

t.test('clients that do not take the answers to long reads do not hold up the reads of others', async (t) => {
  const backend = new GroupReads();
  const fixture = await ServerFixture.start([backend]);
  t.teardown(() => fixture.stop());
  const slow: RawClient[] = [];
  for (let i = 0; i < 3; i++) {
    const client = fixture.client();
    await client.go('app/data');
    client.socket.pause();
    for (let k = 0; k < 40; k++) client.send(request({ type: READ, cookie: BigInt(k), offset: k * MIB, length: MIB }));
    slow.push(client);
  }
  await until(() => backend.started >= 100, 'their reads are taken');
  const fast = fixture.client();
  await fast.go('app/data');
  for (const length of [128 * 1024, MIB, 32 * MIB]) {
    fast.send(request({ type: READ, cookie: 7n, offset: 4096, length }));
    t.ok(await wantsAnswer(fast, 7n, 4096, length, backend), `${length} bytes`);
  }
  let right = 0;
  for (const client of slow) {
    client.socket.resume();
    for (let k = 0; k < 40; k++) if (await wantsAnswer(client, BigInt(k), k * MIB, MIB, backend)) right++;
  }
  t.equal(right, 120, 'the answers they had not taken are right');
  t.notOk(backend.isShortOfReads);
});

t.test('what was copied for a slow client counts as in flight until it has left', async (t) => {
  const backend = new GroupReads();
  const fixture = await ServerFixture.start([backend]);
  t.teardown(() => fixture.stop());
  const client = fixture.client();
  await client.go('app/data');
  client.socket.pause();
  for (let k = 0; k < 200; k++) client.send(request({ type: READ, cookie: BigInt(k), offset: (k % 64) * MIB, length: MIB }));
  await until(() => backend.started >= 63, 'as much as one connection may have');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.ok(backend.started <= 66, `${backend.started} reads of 1 MiB were taken`);
  client.socket.destroy();
  await until(() => fixture.server.clients().length === 0, 'it is gone');
  await until(() => !backend.isShortOfReads, 'its slabs came back');
});
