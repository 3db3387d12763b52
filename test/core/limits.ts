import t from 'tap';
import { groupPayloadBytes, MIB } from '../../src/core/limits.js';

t.test('a group takes less memory where there is little', (t) => {
  const machines = [512, 2048, 4800, 8192, 262_144];
  t.same(
    machines.map((mib) => Math.floor(groupPayloadBytes(mib * MIB) / MIB)),
    [160, 160, 200, 320, 320],
  );
  t.end();
});
