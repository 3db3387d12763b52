// Messages to the kernel's nbd driver, byte by byte, and what becomes of commands that are refused or never answered.

import t from 'tap';
import { NbdNetlink, NetlinkError } from '../../src/attach/netlink.js';
import {
  familyRequest,
  NBD_COMMAND,
  nbdRequest,
  parseFamily,
  parseIndex,
  parseLinkDead,
  parseStatus,
} from '../../src/attach/netlink-message.js';

/** The answer of Debian's 6.1 to familyRequest('nbd'): id 26, group 3, commands 1 2 3 5, attributes to 10. */
const FAMILY = Buffer.from(
  [
    'ac000000100000000100000000000000', // nlmsghdr
    '01020000', // genlmsghdr
    '08000200' + '6e626400', // name
    '06000100' + '1a000000', // id
    '08000300' + '01000000', // version
    '08000400' + '00000000', // header size
    '08000500' + '0a000000', // largest attribute
    '54000600', // commands
    '14000100' + '0800010001000000' + '080002000a000000',
    '14000200' + '0800010002000000' + '080002000a000000',
    '14000300' + '0800010003000000' + '080002000a000000',
    '14000400' + '0800010005000000' + '080002000a000000',
    '1c000700', // groups
    '18000100' + '0800020003000000' + '0c0001006e62645f6d630000',
  ].join(''),
  'hex',
);

t.test('requests have the layout of the kernel', async (t) => {
  t.equal(
    familyRequest('nbd', 7).toString('hex'),
    '1c000000' + '1000' + '0500' + '07000000' + '00000000' + '03020000' + '080002006e626400',
  );
  const connect = nbdRequest(26, NBD_COMMAND.connect, 1, {
    index: 3,
    sizeBytes: 2 ** 40,
    blockBytes: 512,
    timeoutSeconds: 15,
    serverFlags: 0x16d,
    clientFlags: 0,
    deadConnTimeoutSeconds: 300,
    backend: 'lvr:x',
    sockets: [10, 11],
  });
  const attributes = [
    '08000100' + '03000000',
    '0c000200' + '0000000000010000',
    '0c000300' + '0002000000000000',
    '0c000400' + '0f00000000000000',
    '0c000500' + '6d01000000000000',
    '0c000600' + '0000000000000000',
    '0c000800' + '2c01000000000000',
    '0a000a00' + '6c76723a7800' + '0000',
    '1c000780' + '0c000180' + '080001000a000000' + '0c000180' + '080001000b000000',
  ].join('');
  t.equal(connect.subarray(20).toString('hex'), attributes);
  t.equal(connect.readUInt32LE(0), connect.length);
  t.equal(connect.readUInt16LE(4), 26);
  t.equal(connect[16], 1);
  t.equal(nbdRequest(26, NBD_COMMAND.disconnect, 2, { index: 0 }).length, 28, 'what is not asked for is left out');
});

t.test('answers are read, and damaged ones are not trusted', async (t) => {
  t.same(parseFamily(FAMILY), { id: 26, group: 3, commands: new Set([1, 2, 3, 5]), maxAttribute: 10 });
  for (let length = 0; length < FAMILY.length; length++) t.equal(parseFamily(FAMILY.subarray(0, length)), undefined);
  const reply = nbdRequest(26, NBD_COMMAND.linkDead, 0, { index: 5 });
  t.equal(parseIndex(reply), 5);
  t.equal(parseLinkDead(reply), 5);
  t.equal(parseLinkDead(nbdRequest(26, NBD_COMMAND.status, 0, { index: 5 })), undefined);
  t.equal(parseIndex(Buffer.alloc(0)), undefined);
  const list = `34000000${'00000000'.repeat(3)}0501000020000900140001000800010002000000050002000100000008000100ffffffff`;
  t.same(parseStatus(Buffer.from(list, 'hex')), [{ index: 2, connected: true }]);
});

type Answer = { errno: number; replies: Buffer } | undefined;

/** A driver that gives these answers, or none for undefined; `sent` has the command numbers. */
function driver(answers: Answer[]): { netlink: NbdNetlink; sent: number[]; sockets: number[]; heard: ((message: Buffer) => void)[] } {
  const sent: number[] = [];
  const sockets: number[] = [];
  const heard: ((message: Buffer) => void)[] = [];
  let next = 100;
  const netlink = new NbdNetlink(
    {
      netlinkOpen: () => next++,
      netlinkExchange: (fd, request, onDone) => {
        sent.push(request[16] ?? 0);
        sockets.push(fd);
        const answer = answers.shift();
        if (answer !== undefined) setImmediate(() => onDone(answer.errno, answer.replies));
      },
      netlinkListen: (group, onMessage) => {
        t.equal(group, 3);
        heard.push(onMessage);
      },
    },
    30,
  );
  return { netlink, sent, sockets, heard };
}

const none = Buffer.alloc(0);

t.test('a command is sent to the family, one at a time, and an errno is an error', async (t) => {
  const { netlink, sent, sockets } = driver([
    { errno: 0, replies: FAMILY },
    { errno: 0, replies: nbdRequest(26, NBD_COMMAND.connect, 0, { index: 9 }) },
    { errno: 16, replies: none },
    { errno: 0, replies: none },
  ]);
  await netlink.check();
  const [index, refused] = await Promise.all([netlink.connect({ sockets: [4] }), netlink.connect({}).catch((error: unknown) => error)]);
  t.equal(index, 9);
  t.ok(refused instanceof NetlinkError && refused.errno === 16);
  await netlink.disconnect(9);
  t.same(sent, [3, 1, 1, 2]);
  t.equal(new Set(sockets).size, 1, 'one socket, which stays open');
});

t.test('a kernel that does not answer is reported, and the next command does not wait behind it', async (t) => {
  const { netlink, sockets } = driver([{ errno: 0, replies: FAMILY }, undefined, { errno: 0, replies: none }]);
  await t.rejects(netlink.disconnect(1), { code: 'TIMEOUT', message: /netlink did not answer disconnect within 0.03 s/ });
  await netlink.disconnect(2);
  t.same(sockets, [100, 100, 101], 'the socket that may still get an answer is left behind');
});

t.test('a kernel without the driver, or with an old one, is told apart', async (t) => {
  await t.rejects(driver([{ errno: 2, replies: none }]).netlink.check(), { code: 'ATTACH', message: /no nbd/, hint: 'modprobe nbd' });
  const old = Buffer.from(FAMILY);
  old.writeUInt8(9, old.indexOf('080005000a', 0, 'hex') + 4);
  await t.rejects(driver([{ errno: 0, replies: old }]).netlink.check(), { code: 'ATTACH', hint: /5.14/ });
});

t.test('lost links are heard of', async (t) => {
  const { netlink, heard } = driver([{ errno: 0, replies: FAMILY }]);
  const dead: number[] = [];
  netlink.listen((index) => dead.push(index));
  t.equal(heard.length, 0, 'not before the family is known');
  await netlink.check();
  netlink.listen((index) => dead.push(index));
  netlink.listen((index) => dead.push(index));
  t.equal(heard.length, 1, 'once');
  heard[0]?.(nbdRequest(26, NBD_COMMAND.linkDead, 0, { index: 5 }));
  heard[0]?.(nbdRequest(26, NBD_COMMAND.status, 0, { index: 6 }));
  t.same(dead, [5]);
});
