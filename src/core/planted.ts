// The switch for planted bugs: known faults, each in the code where a real one would be, that prove that the simulator would notice.
//
// In every build it is the empty string, a constant that the engine folds away. `make test` puts another value here while it loads this
// module (test/sim/planted-loader.ts), one fault at a time, in processes that simulate and touch no disk.

/** Every planted bug, by what it does wrong. docs/reliability.md lists which oracle catches it. */
export type PlantedBug =
  | 'log-without-flush'
  | 'flush-answered-early'
  | 'fua-ignored'
  | 'flush-misses-open-batch'
  | 'error-becomes-success'
  | 'device-before-log'
  | 'writer-used-twice'
  | 'ghosts-accepted'
  | 'tail-always-cut'
  | 'damaged-payload-accepted'
  | 'failed-log-write-ignored'
  | 'failed-volume-flush-ignored'
  | 'checkpoint-without-flush'
  | 'checkpoint-ahead'
  | 'trim-forgets-sites'
  | 'overlaps-unordered'
  | 'overlay-misses-zeroes'
  | 'zero-not-applied'
  | 'applied-before-primary-durable'
  | 'logged-when-received'
  | 'acked-when-received'
  | 'status-optimistic'
  | 'epoch-not-kept'
  | 'payload-unchecked'
  | 'cut-forgotten'
  | 'applied-may-be-cut'
  | 'older-primary-gives-way'
  | 'superblock-one-slot'
  | 'open-without-flush'
  | 'room-ignored'
  | 'promotion-not-recorded'
  | 'log-dropped-before-bitmap'
  | 'bit-cleared-on-send'
  | 'part-not-marked'
  | 'regions-not-flushed'
  | 'resync-not-recorded'
  | 'undo-not-saved'
  | 'end-mark-forgotten'
  | 'acked-not-clamped'
  | 'leftovers-kept'
  | 'resize-in-one-slot'
  | 'bad-bitmap-page-clean'
  | 'resync-overwrites-newer-write'
  | 'undo-dropped-early'
  | 'kept-log-not-marked'
  | 'overwritten-not-marked'
  | 'bitmap-base-too-old'
  | 'compared-always-same'
  | 'unflushed-content-trusted';

/** The fault that is in, none in production. */
export const PLANTED = '' as PlantedBug | '';
