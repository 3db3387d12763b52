// CRC32C (Castagnoli polynomial 0x1EDC6F41 reflected, RFC 3720 B.4) in JavaScript, for headers of about a hundred bytes, where a call
// into native code costs more than the sum. Payloads are summed by the addon.

const TABLES: readonly Uint32Array[] = makeTables();

function makeTables(): Uint32Array[] {
  const tables = Array.from({ length: 4 }, () => new Uint32Array(256));
  const first = tables[0] as Uint32Array;
  for (let n = 0; n < 256; n++) {
    let crc = n;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    first[n] = crc;
  }
  for (let k = 1; k < 4; k++) {
    for (let n = 0; n < 256; n++) {
      const previous = (tables[k - 1] as Uint32Array)[n] as number;
      (tables[k] as Uint32Array)[n] = (first[previous & 0xff] as number) ^ (previous >>> 8);
    }
  }
  return tables;
}

const T0 = TABLES[0] as Uint32Array;
const T1 = TABLES[1] as Uint32Array;
const T2 = TABLES[2] as Uint32Array;
const T3 = TABLES[3] as Uint32Array;

/** CRC32C of bytes[start, start + length), continuing from `seed` (the CRC of what came before; 0 at the beginning). */
export function crc32cSmall(bytes: Uint8Array, start: number, length: number, seed = 0): number {
  let crc = ~seed;
  let at = start;
  const end = start + length;
  for (; at + 4 <= end; at += 4) {
    crc ^= (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    crc =
      (T3[crc & 0xff] as number) ^ (T2[(crc >>> 8) & 0xff] as number) ^ (T1[(crc >>> 16) & 0xff] as number) ^ (T0[crc >>> 24] as number);
  }
  for (; at < end; at++) crc = (T0[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
