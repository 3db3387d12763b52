// What is remembered of attachments when it cannot be written down, with an attacher that makes nothing real.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Attachments } from '../../src/attach/attachments.js';
import type { Attacher, Attachment, AttachRequest } from '../../src/attach/ports.js';
import { LvrError } from '../../src/core/errors.js';

/** No group has this name, so no name below /dev is in the way. */
const GROUP = 'lvr.test.remembered';

function begin(test: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'lvr-remembered-'));
  test.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const devices = new Set<string>();
  const attacher = {
    way: 'kernel',
    words: 'kernel',
    outlives: true,
    makes: () => true,
    probe: async () => ({ usable: true }),
    serves: ({ device }: Attachment) => devices.has(device),
    attach: async ({ target }: AttachRequest) => {
      const device = `/nonexistent/${target.replace('/', '-')}`;
      devices.add(device);
      return { target, device, way: 'kernel', how: '', link: '', pid: 0 };
    },
    detach: async ({ device }: Attachment) => void devices.delete(device),
    restored: () => undefined,
  } as unknown as Attacher;
  const state = { isFull: false };
  const save = (path: string, text: string): void => {
    if (state.isFull) throw new LvrError('FAILED', `${path} cannot be written: ENOSPC`);
    writeFileSync(path, text);
  };
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const open = () => new Attachments(dir, [attacher], save, log);
  const remembered = (): string[] => {
    const { attachments } = JSON.parse(readFileSync(join(dir, 'attachments.json'), 'utf8')) as { attachments: Attachment[] };
    return attachments.map(({ target }) => target);
  };
  return { dir, devices, state, open, remembered };
}

const request = (volume: string): AttachRequest => ({ target: `${GROUP}/${volume}` }) as AttachRequest;

t.test('a start on a full disk forgets no attachment', async (t) => {
  const { devices, state, open, remembered } = begin(t);
  const first = open();
  for (const volume of ['data', 'wal']) await first.attach(request(volume));
  const both = [`${GROUP}/data`, `${GROUP}/wal`];
  t.same(remembered(), both);
  devices.clear();
  const next = open();
  t.same(
    (await next.restore()).map(({ target }) => target),
    both,
  );
  state.isFull = true;
  await t.rejects(next.attach(request('data')), { code: 'FAILED', message: /ENOSPC/ });
  t.equal(devices.size, 0, 'no device that is not remembered');
  t.same(next.list(), []);
  state.isFull = false;
  await next.attach(request('wal'));
  t.same(remembered(), both);
  for (const attachment of next.list()) await next.detach(attachment, false);
});

t.test('names of a device that cannot be made are an error of the attach, and no device is left', async (t) => {
  const { dir, devices, open } = begin(t);
  writeFileSync(join(dir, 'by-res'), '');
  await t.rejects(open().attach(request('data')), { name: 'LvrError', message: /ENOTDIR/ });
  t.equal(devices.size, 0);
});
