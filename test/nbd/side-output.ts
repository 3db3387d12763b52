import t, { type Test } from 'tap';
import type { SocketSender } from '../../src/core/ports.js';
import { SideOutput } from '../../src/nbd/side-output.js';

/** A side output whose sender is played by the test; what happens is noted in `story`. */
function begin(t: Test, opens = true) {
  const story: string[] = [];
  const sender = {
    isAwaited: true as boolean,
    send: (piece: Uint8Array) => void story.push(`send ${Buffer.from(piece).toString()}`),
    release: () => void story.push('release'),
    close: () => void story.push('close'),
  } satisfies SocketSender;
  const hooks = { onLeft: (_entry: string): void => undefined };
  const owner = {
    left: (entry: string) => {
      story.push(`left ${entry}`);
      hooks.onLeft(entry);
    },
    returned: (rest: Uint8Array, entry: string) => void story.push(`returned ${Buffer.from(rest).toString()} of ${entry}`),
    emptied: () => void story.push('emptied'),
  };
  let opened = 0;
  const open = () => {
    t.equal(++opened, 1, 'the sender is opened once');
    return opens ? sender : undefined;
  };
  const side = new SideOutput<string>(open, owner);
  const send = (text: string): boolean => side.send(Buffer.from(text), text);
  return { side, sender, story, hooks, send };
}

t.test('pieces that leave whole are told in order', async (t) => {
  const { side, story, send } = begin(t);
  t.equal(side.isBusy, false);
  t.ok(send('one') && send('three'));
  t.equal(side.isBusy, true);
  t.equal(side.bytes, 8);
  side.pieceSent(3);
  t.equal(side.bytes, 5);
  side.pieceSent(5);
  t.equal(side.isBusy, false);
  t.same(story, ['send one', 'send three', 'left one', 'left three', 'emptied']);
  t.throws(() => side.pieceSent(0), /told once/);
});

t.test('it begins only with a client that waits, and goes on with any', async (t) => {
  const { side, sender, story, send } = begin(t);
  sender.isAwaited = false;
  t.equal(send('a'), false);
  sender.isAwaited = true;
  t.equal(send('b'), true);
  sender.isAwaited = false;
  t.equal(send('c'), true);
  side.pieceSent(1);
  side.pieceSent(1);
  t.equal(send('d'), false);
  t.same(story, ['send b', 'send c', 'left b', 'left c', 'emptied']);
});

t.test('what was not taken comes back in order, then the sender is released', async (t) => {
  const { side, story, send } = begin(t);
  send('abc');
  send('def');
  side.pieceSent(1);
  send('ghi');
  t.equal(side.bytes, 6);
  side.pieceSent(0);
  side.pieceSent(0);
  t.same(story.splice(0), [
    ...['send abc', 'send def', 'returned bc of abc', 'send ghi'],
    ...['returned def of def', 'returned ghi of ghi', 'release', 'emptied'],
  ]);
  send('again');
  side.pieceSent(5);
  t.same(story, ['send again', 'left again', 'emptied'], 'released once');
});

t.test('what is given while the last piece is told is under way, and not taken for the end', async (t) => {
  const { side, story, hooks, send } = begin(t);
  hooks.onLeft = (entry) => {
    if (entry === 'a') send('b');
  };
  send('a');
  side.pieceSent(1);
  t.equal(side.isBusy, true);
  side.pieceSent(1);
  t.same(story, ['send a', 'left a', 'send b', 'left b', 'emptied']);
});

t.test('without a sender nothing is taken; a closed one takes nothing and tells what is under way', async (t) => {
  const none = begin(t, false);
  t.equal(none.send('a') || none.send('b'), false);
  none.side.close();
  t.same(none.story, []);
  const { side, story, send } = begin(t);
  send('abc');
  side.close();
  t.equal(send('d'), false);
  side.pieceSent(1);
  t.same(story, ['send abc', 'close', 'returned bc of abc', 'emptied']);
  side.close();
  const unused = begin(t);
  unused.side.close();
  t.equal(unused.send('a'), false);
});
