// What the link costs: `node dist/test/link/measure.js` sends records through sender and receiver over TCP on this machine, with a log
// in memory behind them, and prints figures. Not a test: figures of one machine at one moment decide nothing.

import { BLOCK_BYTES } from '../../src/core/limits.js';
import type { Clock, Log } from '../../src/core/ports.js';
import { LogBatch } from '../../src/disk/log-batch.js';
import { putU64 } from '../../src/format/bytes.js';
import { SiteLink } from '../../src/link/link.js';
import { Listener } from '../../src/link/listener.js';
import { tcpNetwork } from '../../src/link/tcp.js';
import { FakeGroup } from './fake-group.js';

const clock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (fn) => void setImmediate(fn),
};
const log: Log = { info: () => {}, warn: () => {}, error: console.error };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Ships the same few batches over and over under new LSNs, and receives into the same few: the log costs next to nothing. */
class Measured extends FakeGroup {
  readonly #ring: LogBatch[] = [];
  readonly #free: LogBatch[] = [];
  #count = 1;
  #sealed = 0;
  #received = 0;

  constructor(site: string, role: 'primary' | 'secondary', count: number, payloadBytes: number) {
    super(site, role);
    this.isChecking = false;
    this.#count = count;
    for (let i = 0; i < 128; i++) this.#ring.push(this.append(count, payloadBytes));
    for (let i = 0; i < 128; i++) {
      const arena = { bytes: new Uint8Array(BLOCK_BYTES + (1 << 20)).fill(1), address: 0 };
      this.#free.push(new LogBatch(arena, 0, 1 << 20, (batch) => void this.#free.push(batch)));
    }
    this.records.length = 0;
    this.lineage = role === 'primary' ? [{ epoch: 1, incarnation: 1, startLsn: 1, own: true }] : [];
    this.loggedLsn = 0;
    this.appliedLsn = 0;
  }

  seal(batches: number): void {
    this.#sealed = batches * this.#count;
    this.durableLsn = this.#sealed;
  }

  override get sealedLsn(): number {
    return this.#sealed;
  }

  override holdBatch(lsn: number): LogBatch {
    const batch = this.#ring[((lsn - 1) / this.#count) % this.#ring.length] as LogBatch;
    batch.firstLsn = lsn;
    for (let i = 0; i < batch.count; i++) putU64(batch.arena.bytes, batch.headerAt(i) + 8, lsn + i);
    batch.hold();
    return batch;
  }

  override leaseBatch(): LogBatch | undefined {
    const batch = this.#free.pop();
    batch?.reset();
    return batch;
  }

  override receive(batch: LogBatch): undefined {
    this.#received = batch.lastLsn;
    batch.release();
  }

  override get receivedLsn(): number {
    return this.#received;
  }

  override primaryDurable(): void {}

  override commit(): void {
    this.loggedLsn = this.#received;
    this.appliedLsn = this.#received;
  }
}

async function measure(title: string, batches: number, count: number, payloadBytes: number): Promise<void> {
  const a = new Measured('a', 'primary', count, payloadBytes);
  const b = new Measured('b', 'secondary', count, payloadBytes);
  a.seal(batches);
  const config = { host: '127.0.0.1', mode: 'async', onDisconnect: 'continue', logFull: 'bitmap' } as const;
  const shared = { network: tcpNetwork, clock, random: Math.random, insecure: false, log };
  const linkB = new SiteLink({ ...shared, group: b, config: { ...config, name: 'a', port: 1 } });
  const listener = new Listener({ ...shared, site: 'b', lookup: () => ({ linkFor: () => linkB }) });
  const port = await listener.start('127.0.0.1', 0);
  const linkA = new SiteLink({ ...shared, group: a, config: { ...config, name: 'b', port } });
  linkB.start();
  const cpu = process.cpuUsage();
  const start = performance.now();
  linkA.start();
  await until(() => a.progress.applied === batches * count);
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  const records = batches * count;
  const perRecord = (used.user + used.system) / records;
  console.log(
    `${title}: ${(records / seconds / 1000).toFixed(0)}k records/s, ${((records * payloadBytes) / seconds / 1e9).toFixed(2)} GB/s, ` +
      `${perRecord.toFixed(2)} us CPU per record (${(used.user / records).toFixed(2)} user)`,
  );
  await linkA.stop();
  await linkB.stop();
  await listener.close();
}

for (let round = 0; round < 3; round++) {
  await measure('4 KiB, 30 a batch', 20000, 30, 4096);
  await measure('1 MiB', 2000, 1, 1 << 20);
  await measure('512 B, 1 a batch', 100000, 1, 512);
}
process.exit(0);
