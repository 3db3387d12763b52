import t from 'tap';
import { DIRECT_PAYLOAD_BYTES } from '../../src/core/limits.js';
import { READ_BYTES, ReceiveBuffer } from '../../src/nbd/receive-buffer.js';

/** Puts text where the socket would. */
function arrive(buffer: ReceiveBuffer, offered: Uint8Array, text: string): void {
  offered.set(Buffer.from(text));
  buffer.end += text.length;
}

const unused = (buffer: ReceiveBuffer) => buffer.bytes.toString('latin1', buffer.start, buffer.end);

t.test('unused bytes stay in one piece across reads', async (t) => {
  const buffer = new ReceiveBuffer();
  arrive(buffer, buffer.offer(READ_BYTES), 'header1payload1head');
  buffer.start += 15;
  arrive(buffer, buffer.offer(READ_BYTES), 'er2payload2');
  t.equal(unused(buffer), 'header2payload2');
  t.equal(buffer.start, 0, 'moved to the front');
});

t.test('memory once offered stays put while the parser goes on', async (t) => {
  const buffer = new ReceiveBuffer();
  arrive(buffer, buffer.offer(READ_BYTES), 'abcdef');
  const offered = buffer.offer(READ_BYTES);
  buffer.start += 4;
  arrive(buffer, offered, 'ghi');
  t.equal(unused(buffer), 'efghi');
});

t.test('everything used up means a full read at the front', async (t) => {
  const buffer = new ReceiveBuffer();
  arrive(buffer, buffer.offer(READ_BYTES), 'abc');
  buffer.start += 3;
  t.equal(buffer.offer(READ_BYTES).length, READ_BYTES);
  t.same([buffer.start, buffer.end], [0, 0]);
  t.equal(buffer.offer(100).length, 100, 'a shorter read on request');
});

t.test('there is room to offer even behind the longest incomplete request and a full read', async (t) => {
  const buffer = new ReceiveBuffer();
  buffer.offer(READ_BYTES);
  buffer.end = DIRECT_PAYLOAD_BYTES + 27;
  const offered = buffer.offer(READ_BYTES);
  t.equal(offered.length, READ_BYTES);
  buffer.end += offered.length;
  t.ok(buffer.offer(READ_BYTES).length > 0);
});
