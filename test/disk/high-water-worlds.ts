// Logs whose superblocks cannot be written any more from some moment on, while batches still can: the writer must stop at the high-water
// mark. Then either superblock, or none, is lost, and one record that later ones vouch for is damaged: every start must refuse. For two
// tests, that of the mark and that of planted bugs.

import { MIB } from '../../src/core/limits.js';
import type { Log } from '../../src/disk/log.js';
import { RING_START, SUPERBLOCK_BYTES } from '../../src/format/superblock.js';
import { SimDisk } from '../../src/sim/disk.js';
import { SimLog, SimMemory, verdictOf } from '../helpers/sim-log.js';

/** What the worlds came to. `violation`: undefined when all was well. */
export type HighWaterFigures = { logs: number; starts: number; violation: string | undefined };

const RECORD_BYTES = 32 * 1024;
const BATCH_BYTES = RECORD_BYTES + 4096;
/** Every so many of the batches is damaged, and those that are fewer batches away from something. */
const STEP = 23;
const NEAR = 5;

type Stuck = { readonly disk: SimDisk; readonly log: Log };

/** Runs the device until nothing happens any more. */
async function idle(site: SimLog): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await new Promise((resolve) => setImmediate(resolve));
    while (site.device.step()) quiet = 0;
  }
}

/** A log that begins its second lap when `wraps`, is given `moves` further superblocks, and is then filled as far as it goes. */
async function stuckLog(memory: SimMemory, moves: number, wraps: boolean): Promise<Stuck> {
  const disk = new SimDisk('log', 16 * MIB, 4096);
  const site = await SimLog.open(disk, memory);
  const writer = await site.lead();
  const { log } = site;
  const append = async (): Promise<void> => {
    site.append(writer, [{ bytes: RECORD_BYTES }]);
    await idle(site);
  };
  while (wraps && log.appendPosition < log.ring.bytes - MIB) {
    await append();
    if (log.usedBytes > 4 * MIB) await site.trim(log.appendedLsn);
  }
  let left = moves;
  site.device.intercept = ({ kind, offset }) => (kind === 'write' && offset < RING_START && left-- <= 0 ? 'hang' : 0);
  while (log.undurable === 0 && log.hasRoom(RECORD_BYTES)) await append();
  return { disk, log };
}

/** The LSNs to damage: each of them is known durable to a later batch. Some, and all that stand close to the end or to a mark. */
function damagedLsns({ log }: Stuck): number[] {
  const first = log.trimmedLsn + 1;
  // The last one that is durable may be cut off.
  const last = log.durableLsn - 1;
  const marks = [log.store.current, log.store.older].map((superblock) => superblock?.highWater ?? 0);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((lsn) => {
    const position = log.index.find(lsn)?.position ?? 0;
    const isAtMark = marks.some((mark) => Math.abs(mark - position) < NEAR * BATCH_BYTES);
    return isAtMark || last - lsn < NEAR || (last - lsn) % STEP === 0;
  });
}

/** Runs all worlds; stops at the first that is not as it must be. */
export async function highWaterWorlds(): Promise<HighWaterFigures> {
  const figures: HighWaterFigures = { logs: 0, starts: 0, violation: undefined };
  const memory = new SimMemory();
  for (const wraps of [false, true]) {
    for (let moves = 0; moves < 4; moves++) {
      figures.logs++;
      const stuck = await stuckLog(memory, moves, wraps);
      const { disk, log } = stuck;
      for (const lost of ['none', 0, 1] as const) {
        if (lost !== 'none') disk.corrupt(lost * SUPERBLOCK_BYTES + 300, 3);
        for (const lsn of damagedLsns(stuck)) {
          const { position } = log.index.find(lsn) as { position: number };
          const at = RING_START + log.ring.offset(position) + 70;
          figures.starts++;
          disk.corrupt(at, 1);
          const verdict = await verdictOf(disk);
          disk.corrupt(at, 1);
          if (verdict === 'LOG_CORRUPT') continue;
          const where = `${log.durableLsn - lsn} batches of ${BATCH_BYTES} bytes before the end`;
          figures.violation ??= `${moves} superblocks, then none, slot lost: ${lost}, LSN ${lsn} damaged, ${where}: ${verdict}`;
        }
        if (lost !== 'none') disk.corrupt(lost * SUPERBLOCK_BYTES + 300, 3);
      }
      memory.recycle();
      disk.discard();
    }
  }
  return figures;
}
