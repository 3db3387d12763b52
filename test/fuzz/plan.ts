// How many inputs each target gets in `make test`: what CI runs is the same every time. total.ts holds the sum against the promise.

/** Inputs of every target, at least. */
export const INPUTS = {
  superblock: 35_000,
  'log-image': 40_000,
  wire: 120_000,
  frames: 60_000,
  receiver: 25_000,
  session: 8_000,
  'nbd-handshake': 100_000,
  'nbd-transmission': 40_000,
  config: 20_000,
  'control-request': 60_000,
  'control-socket': 1_500,
  netlink: 60_000,
} as const;

export type TargetName = keyof typeof INPUTS;

/** Inputs of every target in test/fuzz/native/. */
export const NATIVE_INPUTS = { crc32c: 20_000, netlink: 100_000, rows: 300_000, descriptors: 300_000 } as const;

/** The least that all targets in JavaScript get together. */
export const INPUTS_PROMISED = 500_000;
