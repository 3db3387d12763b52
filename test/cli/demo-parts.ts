// Parts of the demo that can be wrong without the demo noticing: a check of copies that sees no damage, a cable that cannot be cut.

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LinkProxy } from '../../src/cli/demo/link-proxy.js';
import { damagedFiles, Writer } from '../../src/cli/demo/writer.js';

t.test('the check of copies notices a file that is gone, longer, or changed by one bit', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'lvr-writer-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const writer = new Writer('f');
  writer.start(dir);
  while (writer.synced.length < 4) await sleep(5);
  await writer.stop();
  const [gone, longer, changed] = writer.synced.map((file) => file.name) as [string, string, string];
  t.same(await damagedFiles(dir, writer.synced), [], 'whole at first');
  rmSync(join(dir, gone));
  appendFileSync(join(dir, longer), 'x');
  const content = readFileSync(join(dir, changed));
  content[100] = (content[100] ?? 0) ^ 1;
  writeFileSync(join(dir, changed), content);
  t.same(await damagedFiles(dir, writer.synced), [gone, longer, changed]);
});

t.test('a writer ends when its device fails, and notes nothing that was not synced', async (t) => {
  const writer = new Writer('f');
  writer.start('/nonexistent');
  await writer.stop();
  t.same(writer.synced, []);
});

t.test('the proxy passes bytes, breaks connections when cut, refuses new ones, and passes again', async (t) => {
  const echo = createServer((socket) => void socket.pipe(socket).on('error', () => undefined));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const address = echo.address();
  const proxy = new LinkProxy(() => (typeof address === 'object' && address ? address.port : 0));
  await proxy.listen();
  t.teardown(() => {
    proxy.close();
    echo.close();
  });
  const say = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(proxy.port, '127.0.0.1', () => socket.write(text));
      socket.on('data', (data) => {
        resolve(String(data));
        socket.destroy();
      });
      socket.on('close', () => resolve('closed')).on('error', () => resolve('closed'));
    });
  t.equal(await say('hello'), 'hello');
  const running = connect(proxy.port, '127.0.0.1');
  await new Promise((resolve) => running.once('connect', resolve));
  await sleep(50);
  const broken = new Promise((resolve) => running.on('error', () => undefined).once('close', resolve));
  proxy.cut();
  await broken;
  t.equal(await say('hello'), 'closed', 'refused while cut');
  proxy.join();
  t.equal(await say('again'), 'again');
});
