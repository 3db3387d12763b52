// A primary that sends a region behind the end mark of its resync is refused: nothing may be written over records that are applied.

import t from 'tap';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { FRAME_HEADER_BYTES, putRegionMeta, REGION_META_BYTES, readFrameHeader, sealFrame } from '../../src/format/frame.js';
import { SimClient } from '../../src/sim/client.js';
import { differences, History } from '../../src/sim/history.js';
import { Random } from '../helpers/random.js';
import { SimWorld } from '../helpers/sim-group.js';

const PIECE = 65536;
const VOLUME_BYTES = 16 * PIECE;

/** A region frame with a payload of zeroes. */
function regionFrame(): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + REGION_META_BYTES + PIECE);
  putRegionMeta(frame, FRAME_HEADER_BYTES, {
    volume: 0,
    offset: 0,
    length: PIECE,
    isZero: false,
    crc: crc32cSmall(new Uint8Array(PIECE), 0, PIECE),
  });
  sealFrame(frame, 0, 'region', REGION_META_BYTES, PIECE);
  return frame;
}

for (const isCut of [false, true]) {
  t.test(`a ${isCut ? 'part of a region, and later the rest' : 'whole region'} behind the end mark`, async (t) => {
    const world = new SimWorld(new Random());
    const a = await world.add('a', { sites: ['b'], volumeBytes: VOLUME_BYTES, resync: { minDwellMs: 1 } });
    const b = await world.add('b', { sites: ['a'], volumeBytes: VOLUME_BYTES, role: 'secondary' });
    await world.advance(5000);
    const history = new History(VOLUME_BYTES);
    const client = new SimClient(a, history);
    for (let piece = 0; piece < 16; piece++) {
      client.write(0, piece * PIECE, PIECE, false, 1);
      client.commit();
      await world.advance(50);
      if (piece === 7) world.fold(a, 'b');
    }
    const frame = regionFrame();
    const sends = isCut ? [frame.slice(0, 4096), frame.slice(4096)] : [frame];
    let endSent = false;
    world.network.onConnect = (dialer) => {
      const write = dialer.write.bind(dialer);
      dialer.write = (pieces, sent) => {
        const header = readFrameHeader(pieces[0] as Uint8Array, 0);
        const isEnd = typeof header !== 'string' && header.type === 'resyncEnd';
        const extra = isEnd || endSent ? sends.shift() : undefined;
        // The rest of a region comes before anything else.
        if (endSent && extra !== undefined) write([extra], undefined);
        const goesOn = write(pieces, sent);
        if (isEnd && extra !== undefined) write([extra], undefined);
        endSent ||= isEnd;
        return goesOn;
      };
    };
    world.blocked.clear();
    await world.advance(60_000);
    t.ok(endSent);
    t.ok(
      b.lines.some((line) => /region frame out of order \(prepare\)/.test(line)),
      b.lines.join('\n'),
    );
    await world.advance(300_000);
    t.match(a.group.status(), { health: 'healthy', sites: [{ replication: 'streaming' }] });
    for (const site of [a, b]) t.same(differences(history, history.written.length, site.image()).slice(0, 3), [], site.name);
  });
}
