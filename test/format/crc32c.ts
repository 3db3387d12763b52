// CRC32C in JavaScript: known values, and the same as the addon.

import t from 'tap';
import { crc32c } from '../../src/disk/memory.js';
import { crc32cSmall } from '../../src/format/crc32c.js';
import { Random } from '../helpers/random.js';

const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);

t.test('the values of RFC 3720 B.4', async (t) => {
  t.equal(crc32cSmall(new Uint8Array(32), 0, 32), 0x8a9136aa);
  t.equal(crc32cSmall(new Uint8Array(32).fill(0xff), 0, 32), 0x62a8ab43);
  t.equal(crc32cSmall(ascending, 0, 32), 0x46dd794e);
  t.equal(crc32cSmall(ascending.slice().reverse(), 0, 32), 0x113fdb5c);
  t.equal(crc32cSmall(new TextEncoder().encode('123456789'), 0, 9), 0xe3069283);
  t.equal(crc32cSmall(ascending, 5, 0), 0);
});

t.test('any span gives what the addon gives, and a sum can be continued', async (t) => {
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const bytes = Uint8Array.from({ length: 600 }, () => random.below(256));
  let wrong = 0;
  for (let run = 0; run < 3000; run++) {
    const start = random.below(300);
    const length = random.below(300);
    const middle = random.below(length + 1);
    const sum = crc32cSmall(bytes, start, length);
    if (sum !== crc32c(bytes, start, length)) wrong++;
    if (sum !== crc32cSmall(bytes, start + middle, length - middle, crc32cSmall(bytes, start, middle))) wrong++;
  }
  t.equal(wrong, 0);
});
