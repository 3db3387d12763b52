// Control frames as messages.

import t from 'tap';
import { decodeControl } from '../../src/format/control.js';
import { encodeCompared, encodeRegionsDone, encodeTime } from '../../src/format/wire.js';

t.test('a control frame is decoded by its type, and nothing else is taken for one', async (t) => {
  t.same(decodeControl('pong', encodeTime(5)), { type: 'pong', value: 5 });
  t.same(decodeControl('regionsDone', encodeRegionsDone(7)), { type: 'regionsDone', value: 7 });
  t.same(decodeControl('compared', encodeCompared({ piece: 9, same: 5 })), { type: 'compared', value: { piece: 9, same: 5 } });
  for (const type of ['records', 'region', 'compare'] as const)
    t.equal(decodeControl(type, encodeTime(5)), `${type} frame where a control frame was announced`);
  t.match(decodeControl('plan', Uint8Array.of(255)), /^malformed/);
});
