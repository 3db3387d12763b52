// What the configuration says about a group, after it was checked: the gateway is agent/config.ts, everyone else may assume.

/** When a write is answered beyond being accepted in order (site condition). */
export type SiteMode = 'async' | 'memory' | 'logged' | 'applied';

/** What happens to writes while a site with a mode other than async is away. */
export type OnDisconnect = 'continue' | 'block' | 'fail';

export type SiteConfig = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly mode: SiteMode;
  readonly onDisconnect: OnDisconnect;
};

export type VolumeConfig = {
  readonly name: string;
  readonly device: string;
  /** Files only: created with this size when missing; 0: must exist. */
  readonly sizeBytes: number;
  /** undefined: direct for block devices, buffered for files. */
  readonly io: 'buffered' | 'direct' | undefined;
};

export type GroupConfig = {
  readonly name: string;
  /** Only for a group without history; afterwards the superblock decides. */
  readonly role: 'primary' | 'secondary';
  readonly writeCache: boolean;
  readonly log: { readonly path: string; readonly sizeBytes: number };
  readonly volumes: readonly VolumeConfig[];
  readonly sites: readonly SiteConfig[];
};
