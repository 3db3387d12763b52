// Identifiers that every room uses.

/**
 * Log sequence number: dense, one sequence for all volumes of a group; the first record of a group is 1, 0 is "none". Always a safe
 * integer:
 * u64 values beyond 2^53 - 1 are refused where bytes are decoded.
 */
export type Lsn = number;

/** Names of groups, volumes and sites: also file names, labels and export names, hence the narrow alphabet. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,62}$/;
