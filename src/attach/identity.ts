// What a device holds, as the kernel keeps it beside the device (/sys/block/nbdN/backend) and compares it when the device is reconnected:
// `lvr:GROUP-UUID/VOLUME@AGENT-UUID#EPOCH`. The epoch belongs to it because the users of a device keep what they read and wrote of the
// volume in their caches: once another site has been primary in between, that is of another past and must never reach the volume.

/** The identity of a volume in one epoch of its group, as served by one agent. */
export function deviceIdentity(of: { groupUuid: string; volume: string; agentUuid: string; epoch: string }): string {
  return `lvr:${of.groupUuid}/${of.volume}@${of.agentUuid}#${of.epoch}`;
}

/** Both name the same volume of the same agent, but in different epochs. */
export function isOfOtherEpoch(one: string, other: string): boolean {
  return one !== other && withoutEpoch(one) === withoutEpoch(other);
}

function withoutEpoch(identity: string): string {
  return identity.replace(/#\d+$/, '');
}
