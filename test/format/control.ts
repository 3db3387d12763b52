// Control frames as messages.

import t from 'tap';
import { decodeControl } from '../../src/format/control.js';
import { encodeCompared, encodeRead, encodeReadRefused, encodeRegionsDone, encodeTime } from '../../src/format/wire.js';

t.test('a control frame is decoded by its type, and nothing else is taken for one', async (t) => {
  t.same(decodeControl('pong', encodeTime(5)), { type: 'pong', value: 5 });
  t.same(decodeControl('regionsDone', encodeRegionsDone(7)), { type: 'regionsDone', value: 7 });
  t.same(decodeControl('compared', encodeCompared({ piece: 9, same: 5 })), { type: 'compared', value: { piece: 9, same: 5 } });
  const read = { id: 1, volume: 0, offset: 512, length: 512, lsn: 5, epoch: 1 };
  t.same(decodeControl('read', encodeRead(read)), { type: 'read', value: read });
  const refused = { id: 1, code: 'FAILED', reason: '' };
  t.same(decodeControl('readRefused', encodeReadRefused(refused)), { type: 'readRefused', value: refused });
  for (const type of ['records', 'region', 'compare', 'content'] as const)
    t.equal(decodeControl(type, encodeTime(5)), `${type} frame where a control frame was announced`);
  t.match(decodeControl('plan', Uint8Array.of(255)), /^malformed/);
});
