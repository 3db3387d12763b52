// Files, locks and extents through the addon, and the shape of its errors.

import { constants, statSync, writeSync } from 'node:fs';
import t from 'tap';
import { binding, type SystemError } from '../../src/disk/native.js';
import { Workspace } from '../helpers/workspace.js';

const { O_CREAT, O_RDWR } = constants;
const work = new Workspace('native-files');
t.teardown(() => work.dispose());

function errorOf(fn: () => unknown): Partial<SystemError> {
  try {
    fn();
  } catch (error) {
    const { code, errno, syscall, path } = error as SystemError;
    return path === undefined ? { code, errno, syscall } : { code, errno, syscall, path };
  }
  return {};
}

t.test('errors carry code, errno, system call and path', async (t) => {
  const missing = work.file('missing');
  t.same(
    errorOf(() => binding.open(missing, O_RDWR, 0)),
    { code: 'ENOENT', errno: 2, syscall: 'open', path: missing },
  );
  t.same(
    errorOf(() => binding.close(1_000_000)),
    { code: 'EBADF', errno: 9, syscall: 'close' },
  );
  t.throws(() => binding.open(missing, 0.5, 0), RangeError);
  t.throws(() => binding.open(7 as unknown as string, 0, 0), TypeError);
});

t.test('a second descriptor cannot take the lock until the first is closed', async (t) => {
  const path = work.file('lock');
  const first = binding.open(path, O_RDWR | O_CREAT, 0o600);
  const second = binding.open(path, O_RDWR, 0);
  t.equal(binding.lock(first), true);
  t.equal(binding.lock(second), false);
  binding.close(first);
  t.equal(binding.lock(second), true);
  binding.close(second);
});

t.test('sizes, blocks and extents of a sparse file', async (t) => {
  const path = work.file('sparse');
  const fd = binding.open(path, O_RDWR | O_CREAT, 0o600);
  binding.ftruncate(fd, 1 << 20);
  t.match(binding.deviceInfo(fd), { kind: 'file', sizeBytes: 1 << 20, logicalBlockBytes: 512, rdev: '' });
  const out = new Float64Array(8);
  t.equal(binding.extents(fd, 0, 1 << 20, out), 1);
  t.same([...out.subarray(0, 2)], [1 << 20, 1], 'one hole');
  t.equal(statSync(path).blocks, 0);
  binding.fallocateReserve(fd, 0, 1 << 20);
  t.ok(statSync(path).blocks * 512 >= 1 << 20, 'all of it reserved');
  binding.close(fd);
});

t.test('what the page cache has is read at once, into the memory that is named and no other', async (t) => {
  const fd = binding.open(work.file('cached'), O_RDWR | O_CREAT, 0o600);
  const content = Buffer.alloc(8192, 7);
  writeSync(fd, content);
  const memory = Buffer.alloc(5000);
  t.equal(binding.readCached(fd, memory, 3, 4096, 4096), true);
  t.ok(memory.equals(Buffer.concat([Buffer.alloc(3), Buffer.alloc(4096, 7), Buffer.alloc(901)])));
  t.equal(binding.readCached(fd, memory, 0, 4096, 6144), false, 'it ends too soon');
  t.equal(binding.readCached(-1, memory, 0, 4096, 0), false, 'who reads the ordinary way is told why');
  for (const [start, length] of [
    [905, 4096],
    [5001, 0],
    [4294967295, 4096],
  ] as const) {
    t.throws(() => binding.readCached(fd, memory, start, length, 0), TypeError, `${start} ${length}`);
  }
  t.throws(() => binding.readCached(fd, memory, 0, 4096, -1), TypeError, 'it would be where the last read(2) ended');
  t.throws(() => binding.readCached(fd, [] as unknown as Uint8Array, 0, 1, 0), TypeError);
  t.throws(() => (binding.readCached as (fd: number) => boolean)(fd), TypeError);
  binding.close(fd);
});

t.test('a directory is told apart', async (t) => {
  const fd = binding.open(work.path, constants.O_RDONLY, 0);
  t.equal(binding.deviceInfo(fd).kind, 'directory');
  binding.close(fd);
});
