// Real devices that fail under load: a log, a volume, the file system below a volume. Each time the documented state, event, hook and
// message; nobody hangs, and after a repair and a restart everything that a flush had promised is there.
//
// A loop device on a file system that gets full is no device for this: where the space ends in the middle of a request, loop (Linux 6.18)
// takes the part that was written for all of it. Nothing above it can know. So the log device loses its end, and the volume is an NBD
// export that begins to fail.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { TestAgent } from '../helpers/agent.js';
import { until } from '../helpers/command.js';
import { type Failing, failingDevice } from '../helpers/failing-device.js';
import { History, readImage } from '../helpers/history.js';
import { Load } from '../helpers/load.js';
import { Random } from '../helpers/random.js';
import { Workspace } from '../helpers/workspace.js';

const MIB = 1 << 20;
const BLOCKS = 4096;
const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

const workspace = new Workspace('device-errors');
t.teardown(() => workspace.dispose());
t.setTimeout(300_000);

function command(name: string, ...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(name, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} ${words.join(' ')}: ${stderr}`);
  return stdout.trim();
}

type Story = {
  readonly name: string;
  /** What fails, and how. */
  readonly file: string;
  readonly prepare: (story: Story, path: string) => Promise<Failing>;
  readonly sizeMib: number;
  readonly spaceMib: number;
  readonly code: string;
  readonly message: RegExp;
};

const STORIES: readonly Story[] = [
  {
    name: 'log-device',
    file: 'app.log',
    prepare: losesItsEnd,
    sizeMib: 32,
    spaceMib: 12,
    code: 'LOG_FAILED',
    message: /^log .*app\.log: write log .*app\.log: (no space left|I\/O error)/,
  },
  {
    name: 'data-device',
    file: 'data.img',
    prepare: beginsToFail,
    sizeMib: 16,
    spaceMib: 6,
    code: 'DEVICE_FAILED',
    message: /(write|flush) .*data\.img: I\/O error \(errno 5\)/,
  },
  {
    name: 'file-system-full',
    file: 'data.img',
    prepare: getsFull,
    sizeMib: 16,
    spaceMib: 6,
    code: 'DISK_FULL',
    message: /write volume .*data\.img: no space left/,
  },
];

/** A file of the story's size on a file system of its own. */
function imageOn(story: Story, spaceMib: number): { place: string; image: string } {
  const place = workspace.directory(`${story.name}-fs`);
  command('mount', '-t', 'tmpfs', '-o', `size=${spaceMib}m`, 'lvr-test', place);
  const image = join(place, 'image');
  closeSync(openSync(image, 'w'));
  truncateSync(image, story.sizeMib * MIB);
  return { place, image };
}

/** A file on a file system that gets full. */
async function getsFull(story: Story, path: string): Promise<Failing> {
  const { place, image } = imageOn(story, story.spaceMib);
  symlinkSync(image, path);
  return {
    spoil: () => {},
    repair: async () => void command('mount', '-o', 'remount,size=64m', place),
    undo: async () => void command('umount', place),
  };
}

/** A block device that is shorter all at once, and later as long as it was. */
async function losesItsEnd(story: Story, path: string): Promise<Failing> {
  const { place, image } = imageOn(story, 64);
  const loop = command('losetup', '--find', '--show', image);
  symlinkSync(loop, path);
  const resize = (mib: number): void => {
    truncateSync(image, mib * MIB);
    command('losetup', '--set-capacity', loop);
  };
  return {
    spoil: () => resize(story.spaceMib),
    repair: async () => resize(story.sizeMib),
    undo: async () => {
      command('losetup', '--detach', loop);
      command('umount', place);
    },
  };
}

/** A block device that begins to fail reads and writes. */
function beginsToFail(story: Story, path: string): Promise<Failing> {
  return failingDevice(workspace, story.name, path, story.sizeMib, 'error');
}

/** Adds a line to a section of the config. */
function setKey(agent: TestAgent, section: string, line: string): void {
  const config = readFileSync(agent.configPath, 'utf8').replace(`[${section}]\n`, `[${section}]\n${line}\n`);
  writeFileSync(agent.configPath, config);
}

/** A directory of hooks in which every such event of a group leaves its code behind. */
function addHook(agent: TestAgent, event: string): string {
  const hooks = join(agent.directory, 'hooks');
  const told = join(agent.directory, 'told');
  mkdirSync(hooks);
  writeFileSync(join(hooks, event), `#!/bin/sh\necho "$LVR_GROUP $LVR_CODE" >> ${told}\n`);
  chmodSync(join(hooks, event), 0o755);
  setKey(agent, 'agent', `hooks = "${hooks}"`);
  return told;
}

for (const story of STORIES) {
  t.test(`${story.name}: loud, no hang, nothing promised is lost`, { skip }, async (t) => {
    const random = new Random();
    t.comment(`SEED=${random.seed}`);
    const options = { site: 'a', role: 'primary', volumes: { data: '16MiB', wal: '16MiB' }, logSize: '32MiB', io: 'buffered' } as const;
    const agent = new TestAgent(workspace, options, story.name);
    const { spoil, repair, undo } = await story.prepare(story, join(agent.directory, story.file));
    try {
      const told = addHook(agent, 'group-failed');
      setKey(agent, 'groups.app', 'on_log_error = "fail"');
      await agent.start();
      const history = new History(2, BLOCKS);
      const clients = await Promise.all(['data', 'wal'].map((volume) => agent.connect(volume)));
      const load = new Load(clients, history, random, { depth: 16, blocksMax: 24, flushEvery: 50, fuaEvery: 100 });
      load.start();
      await until('the load runs', 20_000, async () => (load.answers > 200 ? true : undefined), 5);
      spoil();
      const status = await agent.waitStatus('the group has failed', ({ health }) => health === 'failed', 60_000);
      t.match(status, { health: 'failed', image: 'failed', reason: story.message });
      await load.stop();
      t.ok(load.errors > 0, 'clients are told');
      for (const client of clients) await client.close();
      const hook = await until('the hook was run', 20_000, async () => (existsSync(told) ? readFileSync(told, 'utf8') : undefined));
      t.equal(hook, `app ${story.code}\n`, 'once');
      t.match(agent.output(), /"event":"group-failed"/);
      t.ok(
        history.flushedMax.some((sequence) => sequence > 0),
        'something was promised',
      );
      t.equal(await agent.stop(), 0, 'and it stops in order');
      await agent.start();
      t.equal((await agent.status())?.group, 'app', 'an agent whose group cannot be opened goes on');
      t.equal(await agent.stop(), 0);
      await repair();
      await agent.start();
      const again = await Promise.all(['data', 'wal'].map((volume) => agent.connect(volume)));
      const images = await Promise.all(again.map((client, volume) => readImage(client, volume, BLOCKS)));
      t.same(history.check(images, history.flushedMax).problems.slice(0, 5), []);
      t.match(await agent.status(), { health: 'healthy' });
      for (const client of again) await client.close();
      t.equal(await agent.stop(), 0);
    } finally {
      await agent.kill();
      await undo();
    }
  });
}

t.test('log-device, passthrough: no request fails, and what is flushed is there with a log or without', { skip }, async (t) => {
  const story = STORIES.find(({ name }) => name === 'log-device') as Story;
  const random = new Random();
  t.comment(`SEED=${random.seed}`);
  const options = { site: 'a', role: 'primary', volumes: { data: '16MiB', wal: '16MiB' }, logSize: '32MiB', io: 'buffered' } as const;
  const agent = new TestAgent(workspace, options, 'passthrough');
  const { spoil, undo } = await losesItsEnd({ ...story, name: 'passthrough' }, join(agent.directory, story.file));
  const history = new History(2, BLOCKS);
  const judge = async (): Promise<void> => {
    const clients = await Promise.all(['data', 'wal'].map((volume) => agent.connect(volume)));
    const images = await Promise.all(clients.map((client, volume) => readImage(client, volume, BLOCKS)));
    t.same(history.check(images, history.flushedMax).problems.slice(0, 5), []);
    for (const client of clients) await client.close();
  };
  try {
    const told = addHook(agent, 'log-given-up');
    await agent.start();
    const clients = await Promise.all(['data', 'wal'].map((volume) => agent.connect(volume)));
    const load = new Load(clients, history, random, { depth: 16, blocksMax: 24, flushEvery: 50, fuaEvery: 100 });
    load.start();
    await until('the load runs', 20_000, async () => (load.answers > 200 ? true : undefined), 5);
    spoil();
    const status = await agent.waitStatus('the log has failed', ({ health }) => health === 'degraded', 60_000);
    t.match(status, {
      health: 'degraded',
      image: 'upToDate',
      reason: /^log .*app\.log has failed \(write log .*\): writes go to the volumes alone/,
    });
    const { answers } = load;
    await until('the load goes on', 20_000, async () => (load.answers > answers + 1000 ? true : undefined), 5);
    await load.stop();
    t.equal(load.errors, 0);
    for (const client of clients) await client.close();
    await until('the hook was run', 20_000, async () => existsSync(told) || undefined);
    await agent.kill();
    await agent.start();
    t.match(await agent.status(), { health: 'degraded', reason: /could not be used when the group was opened/ });
    await judge();
    t.equal(await agent.stop(), 0, 'it stops in order');
    // Another one takes its place.
    unlinkSync(join(agent.directory, story.file));
    await agent.start();
    t.match(await agent.status(), { health: 'healthy', reason: '' });
    await judge();
    t.equal(await agent.stop(), 0);
    await agent.start();
    t.match(await agent.status(), { health: 'healthy' }, 'which is the one that it had now');
    await judge();
    t.equal(await agent.stop(), 0);
  } finally {
    await agent.kill();
    await undo();
  }
});
