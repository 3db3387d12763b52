// Messages of generic netlink and of its family "nbd" as bytes (linux/netlink.h, linux/genetlink.h, linux/nbd-netlink.h). Pure.
//
// nlmsghdr, 16 bytes: 0 length u32 · 4 type u16 · 6 flags u16 · 8 sequence u32 · 12 port u32
// genlmsghdr, 4 bytes: 0 command u8 · 1 version u8 · 2 reserved u16
// attribute: 0 length u16 (with these 4 bytes) · 2 type u16 · value, padded to 4. All little endian, as the machines this runs on.

const HEADER_BYTES = 20;
const FLAGS_REQUEST_ACK = 1 | 4;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const CONTROL_FAMILY = 16;
const CONTROL_VERSION = 2;
const GET_FAMILY = 3;
const CONTROL_ATTRIBUTE = { id: 1, name: 2, maxAttribute: 5, commands: 6, groups: 7 } as const;

/** Commands of the family. */
export const NBD_COMMAND = { connect: 1, disconnect: 2, reconfigure: 3, linkDead: 4, status: 5 } as const;
const NBD_ATTRIBUTE = {
  index: 1,
  sizeBytes: 2,
  blockBytes: 3,
  timeoutSeconds: 4,
  serverFlags: 5,
  clientFlags: 6,
  sockets: 7,
  deadConnTimeoutSeconds: 8,
  deviceList: 9,
  backend: 10,
} as const;

/** What the kernel says about the family. `maxAttribute`: the largest attribute it knows. */
export type Family = { readonly id: number; readonly group: number; readonly commands: ReadonlySet<number>; readonly maxAttribute: number };

/** The attribute with the identity of the data, without which a device could be given another's (Linux 5.14). */
export const BACKEND_ATTRIBUTE = NBD_ATTRIBUTE.backend;

/** Arguments of CONNECT and RECONFIGURE; what is undefined is left out. */
export type DeviceArguments = {
  readonly index?: number | undefined;
  readonly sizeBytes?: number;
  readonly blockBytes?: number;
  readonly timeoutSeconds?: number;
  readonly deadConnTimeoutSeconds?: number;
  readonly serverFlags?: number;
  readonly clientFlags?: number;
  readonly backend?: string;
  readonly sockets?: readonly number[];
};

/** Connected, as far as the kernel counts somebody who merely opened the device as connected too: sysfs knows better. */
export type DeviceStatus = { readonly index: number; readonly connected: boolean };

function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function message(family: number, command: number, version: number, sequence: number, attributes: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const bytes = Buffer.concat([header, ...attributes]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(family, 4);
  bytes.writeUInt16LE(FLAGS_REQUEST_ACK, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.writeUInt8(command, 16);
  bytes.writeUInt8(version, 17);
  return bytes;
}

/** Asks for a family by name. */
export function familyRequest(name: string, sequence: number): Buffer {
  return message(CONTROL_FAMILY, GET_FAMILY, CONTROL_VERSION, sequence, [attribute(CONTROL_ATTRIBUTE.name, text(name))]);
}

/** A command of the family nbd. */
export function nbdRequest(family: number, command: number, sequence: number, wanted: DeviceArguments): Buffer {
  const { index, sizeBytes, blockBytes, timeoutSeconds, deadConnTimeoutSeconds, serverFlags, clientFlags, backend, sockets } = wanted;
  const attributes: Buffer[] = [];
  const add = (type: number, value: Buffer | undefined): void => {
    if (value !== undefined) attributes.push(attribute(type, value));
  };
  const long = (value: number | undefined): Buffer | undefined => (value === undefined ? undefined : u64(value));
  add(NBD_ATTRIBUTE.index, index === undefined ? undefined : u32(index));
  add(NBD_ATTRIBUTE.sizeBytes, long(sizeBytes));
  add(NBD_ATTRIBUTE.blockBytes, long(blockBytes));
  add(NBD_ATTRIBUTE.timeoutSeconds, long(timeoutSeconds));
  add(NBD_ATTRIBUTE.serverFlags, long(serverFlags));
  add(NBD_ATTRIBUTE.clientFlags, long(clientFlags));
  add(NBD_ATTRIBUTE.deadConnTimeoutSeconds, long(deadConnTimeoutSeconds));
  add(NBD_ATTRIBUTE.backend, backend === undefined ? undefined : text(backend));
  // A list of items, each of which holds one descriptor: all three have number 1 in their own namespace.
  const items = sockets?.map((fd) => attribute(1 | NESTED, attribute(1, u32(fd))));
  if (items !== undefined) attributes.push(attribute(NBD_ATTRIBUTE.sockets | NESTED, Buffer.concat(items)));
  return message(family, command, 1, sequence, attributes);
}

/** Attributes in [start, end of bytes); a malformed rest is left out. */
function* attributesIn(bytes: Buffer): Generator<{ type: number; value: Buffer }> {
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return;
    yield { type: bytes.readUInt16LE(at + 2) & TYPE_MASK, value: bytes.subarray(at + 4, at + length) };
    at += (length + 3) & ~3;
  }
}

function find(bytes: Buffer, type: number): Buffer | undefined {
  for (const each of attributesIn(bytes)) if (each.type === type) return each.value;
  return undefined;
}

function u32In(bytes: Buffer | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4 ? undefined : bytes.readUInt32LE(0);
}

/** The attributes of the first message in what the kernel answered; undefined when there is none. */
function body(replies: Buffer): Buffer | undefined {
  if (replies.length < HEADER_BYTES) return undefined;
  const length = replies.readUInt32LE(0);
  return length < HEADER_BYTES || length > replies.length ? undefined : replies.subarray(HEADER_BYTES, length);
}

/** The answer to familyRequest(). */
export function parseFamily(replies: Buffer): Family | undefined {
  const attributes = body(replies);
  if (attributes === undefined) return undefined;
  const id = find(attributes, CONTROL_ATTRIBUTE.id);
  if (id === undefined || id.length < 2) return undefined;
  const commands = new Set<number>();
  for (const { value } of attributesIn(find(attributes, CONTROL_ATTRIBUTE.commands) ?? Buffer.alloc(0))) {
    const command = u32In(find(value, 1));
    if (command !== undefined) commands.add(command);
  }
  const groups = [...attributesIn(find(attributes, CONTROL_ATTRIBUTE.groups) ?? Buffer.alloc(0))];
  const group = groups.map(({ value }) => u32In(find(value, 2))).find((number) => number !== undefined) ?? 0;
  return { id: id.readUInt16LE(0), group, commands, maxAttribute: u32In(find(attributes, CONTROL_ATTRIBUTE.maxAttribute)) ?? 0 };
}

/** The device that CONNECT made. */
export function parseIndex(replies: Buffer): number | undefined {
  const attributes = body(replies);
  return attributes && u32In(find(attributes, NBD_ATTRIBUTE.index));
}

/** The answer to STATUS. */
export function parseStatus(replies: Buffer): DeviceStatus[] {
  const list = find(body(replies) ?? Buffer.alloc(0), NBD_ATTRIBUTE.deviceList);
  return [...attributesIn(list ?? Buffer.alloc(0))].flatMap(({ value }) => {
    const index = u32In(find(value, 1));
    return index === undefined ? [] : [{ index, connected: find(value, 2)?.[0] === 1 }];
  });
}

/** The device a LINK_DEAD message is about; undefined for any other message. */
export function parseLinkDead(multicast: Buffer): number | undefined {
  return multicast.length >= HEADER_BYTES && multicast[16] === NBD_COMMAND.linkDead ? parseIndex(multicast) : undefined;
}
