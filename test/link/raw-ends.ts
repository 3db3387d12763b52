// A running session with a raw peer as one of its ends: as primary of site b, or as secondary of site a.

import type { SiteMode } from '../../src/core/group-config.js';
import type { BitmapOffer } from '../../src/core/reconnect.js';
import {
  CONTENT_META_BYTES,
  FRAME_HEADER_BYTES,
  putContentMeta,
  putRecordsMeta,
  RECORDS_META_HEADER_BYTES,
  recordsMetaBytes,
  sealFrame,
} from '../../src/format/frame.js';
import { IDENTITY_BYTES, IDENTITY_START } from '../../src/format/record.js';
import { decodeHello, encodePlan, encodeReady, type Hello, historyDigest } from '../../src/format/wire.js';
import type { FakeGroup } from './fake-group.js';
import { helloFrame, primaryHistory, RawPeer } from './raw-peer.js';
import { World } from './world.js';

/** Appends records to the raw primary's log and sends them; `durableLsn` is what their frame says. */
export type Send = (count: number, payloadBytes: number, durableLsn: number, change?: (frame: Uint8Array, header: number) => void) => void;

/** Site b as receiver of a raw primary of this mode; send() makes records frames with right identities, or changed ones. */
export async function rawPrimary(mode: SiteMode): Promise<{ world: World; peer: RawPeer; send: Send; group: FakeGroup }> {
  const world = new World();
  await world.b.listener.start('host', 7002);
  world.b.link.start();
  const group = world.a.group;
  const peer = await RawPeer.connect(world);
  const own = primaryHistory(0);
  peer.send(helloFrame({ history: own }));
  await world.settle();
  const digests = { dialerDigest: historyDigest(own), acceptorDigest: historyDigest(world.b.group.history()) };
  peer.say(
    'plan',
    encodePlan({ action: 'stream', uuid: '', rule: 'C6', sender: 'a', from: 1, cut: false, adopt: true, chain: 0, mode, ...digests }),
  );
  await world.settle();
  const send: Send = (count, payloadBytes, durableLsn, change) => {
    const batch = group.append(count, payloadBytes);
    const metaBytes = recordsMetaBytes(count);
    const frame = new Uint8Array(FRAME_HEADER_BYTES + metaBytes + batch.payloadBytes);
    putRecordsMeta(frame, FRAME_HEADER_BYTES, durableLsn, count);
    const identities = FRAME_HEADER_BYTES + RECORDS_META_HEADER_BYTES;
    for (let i = 0; i < count; i++) {
      const from = batch.headerAt(i) + IDENTITY_START;
      frame.set(batch.arena.bytes.subarray(from, from + IDENTITY_BYTES), identities + i * IDENTITY_BYTES);
    }
    frame.set(batch.arena.bytes.subarray(batch.dataStart, batch.dataStart + batch.payloadBytes), FRAME_HEADER_BYTES + metaBytes);
    // A change gets the place where the header of the first record would start.
    change?.(frame, identities - IDENTITY_START);
    sealFrame(frame, 0, 'records', metaBytes, batch.payloadBytes);
    peer.send(frame);
  };
  return { world, peer, send, group };
}

/** Site a as sender in this mode to a raw secondary that has nothing, and offers `features`; `bitmap`: what site a kept for it. */
export async function rawSecondary(
  mode: SiteMode,
  features = 0,
  bitmap?: BitmapOffer,
): Promise<{ world: World; peer: RawPeer; group: FakeGroup }> {
  const world = new World('primary', 'secondary', false, mode);
  world.a.group.bitmap = bitmap;
  let accepted: RawPeer | undefined;
  await world.network.listen('host', 7002, (stream) => {
    accepted = new RawPeer(stream);
  });
  world.a.link.start();
  await world.settle();
  const peer = accepted as RawPeer;
  const { session } = decodeHello(peer.heard[0]?.meta ?? new Uint8Array(0)) as Hello;
  const blank = { ...primaryHistory(0), role: 'secondary' as const, groupUuid: '0'.repeat(32), blank: true, epoch: 0 };
  peer.send(helloFrame({ fromSite: 'b', toSite: 'a', session, features, history: { ...blank, site: 'b' } }));
  await world.settle();
  peer.say('ready', encodeReady(1));
  await world.settle();
  return { world, peer, group: world.a.group };
}

/** A content frame of zeroes, with changes of what stands behind its header. */
export function contentFrame(id: number, length: number, change: (frame: Uint8Array) => void = () => {}): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + CONTENT_META_BYTES + length);
  putContentMeta(frame, FRAME_HEADER_BYTES, { id, crc: 0 });
  change(frame);
  sealFrame(frame, 0, 'content', CONTENT_META_BYTES, length);
  return frame;
}
