// Damage of one bit.

/** Flips bit `bit` of what starts at `start`. Done twice, it is as before. */
export function flipBit(bytes: Uint8Array, start: number, bit: number): void {
  const at = start + (bit >> 3);
  bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
}
